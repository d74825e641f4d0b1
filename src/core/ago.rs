//! How long ago something was, in words.

/// A point in time in a sentence: `just now`, `5 min ago`.
pub fn ago(now_ms: u64, then_ms: u64) -> String {
    match age(now_ms, then_ms).as_str() {
        "now" => "just now".to_owned(),
        age => format!("{age} ago"),
    }
}

/// How long ago, roughly: `now`, `5 min`, `3 h`, `12 d`.
pub fn age(now_ms: u64, then_ms: u64) -> String {
    let s = now_ms.saturating_sub(then_ms) / 1000;
    match s {
        0..60 => "now".to_owned(),
        60..3600 => format!("{} min", s / 60),
        3600..172_800 => format!("{} h", s / 3600),
        _ => format!("{} d", s / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_rough() {
        let ages = [9_990_000, 9_400_000, 2_800_000, 20_000_000].map(|then| age(10_000_000, then));
        assert_eq!(ages, ["now", "10 min", "2 h", "now"]);
        assert_eq!(age(40 * 86_400_000, 0), "40 d");
        assert_eq!([9_990_000, 9_400_000].map(|then| ago(10_000_000, then)), ["just now", "10 min ago"]);
    }
}
