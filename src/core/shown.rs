//! Foreign text in messages: what a file says of itself is not to break a line, turn it round, or make it endless.

/// Characters of foreign text shown in a message.
const SHOWN: usize = 160;

/// Characters that break a line or turn its order round.
fn misleads(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// A path in a message: on one line.
pub fn shown_path(path: &std::path::Path) -> String {
    path.to_string_lossy().chars().map(|c| if misleads(c) { '?' } else { c }).collect()
}

/// Text from a file in a message: on one line, not endless.
pub fn shown(text: &str) -> String {
    let clean: String = text.chars().take(SHOWN).map(|c| if misleads(c) { '?' } else { c }).collect();
    if text.chars().nth(SHOWN).is_some() { format!("{clean}…") } else { clean }
}

/// What is wrong with JSON, and where. The parser's words repeat what it read.
pub fn json_words(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let place = format!(" at line {} column {}", error.line(), error.column());
    match text.strip_suffix(&place) {
        Some(words) => shown(words) + &place,
        None => shown(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_parser_repeats_stays_on_one_line_and_keeps_its_place() {
        #[derive(Debug, serde::Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Nothing {}
        let long = format!("{{\n\"a\\nb\\u001b{}\": 1}}", "c".repeat(1000));
        let words = json_words(&serde_json::from_str::<Nothing>(&long).unwrap_err());
        assert!(words.starts_with("unknown field `a?b?ccc") && words.contains("… at line 2 column "), "{words}");
        assert!(words.chars().count() < 200);
        let value = serde_json::json!({"a\nb": 1});
        assert!(json_words(&serde_json::from_value::<Nothing>(value).unwrap_err()).starts_with("unknown field `a?b`"));
    }
}
