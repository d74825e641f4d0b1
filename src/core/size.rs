//! Sizes and counts in few characters.

/// `512 B`, `3.4 MB`: powers of 1000, three digits.
pub fn bytes(n: u64) -> String {
    scaled(n as f64, &BYTES, " ")
}

/// `120 of 500 MB`: both in the unit of the whole.
pub fn bytes_of(part: u64, whole: u64) -> String {
    let (unit, value, digits) = fitting(whole as f64, BYTES.len());
    let part = part.min(whole) as f64 / (whole as f64 / value).max(1.0);
    format!("{part:.digits$} of {value:.digits$} {}", BYTES[unit])
}

const BYTES: [&str; 6] = ["B", "kB", "MB", "GB", "TB", "PB"];

/// `11.7M` parameters.
pub fn count(n: u64) -> String {
    scaled(n as f64, &["", "k", "M", "G", "T"], "")
}

/// The unit in which a value has few digits, the value in it, and its digits behind the point.
fn fitting(mut value: f64, units: usize) -> (usize, f64, usize) {
    let mut unit = 0;
    while value >= 999.5 && unit + 1 < units {
        value /= 1000.0;
        unit += 1;
    }
    let digits = if unit == 0 || value >= 99.95 {
        0
    } else if value >= 9.995 {
        1
    } else {
        2
    };
    (unit, value, digits)
}

fn scaled(value: f64, units: &[&str], gap: &str) -> String {
    let (unit, value, digits) = fitting(value, units.len());
    let gap = if units[unit].is_empty() { "" } else { gap };
    format!("{value:.digits$}{gap}{}", units[unit])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_counts_keep_three_digits() {
        let got: Vec<String> = [0, 999, 1000, 12_345, 999_999, 11_689_512].map(bytes).to_vec();
        assert_eq!(got, ["0 B", "999 B", "1.00 kB", "12.3 kB", "1.00 MB", "11.7 MB"]);
        assert_eq!([640, 1_216, 25_557_032].map(count), ["640", "1.22k", "25.6M"]);
        let parts = [(120_000_000, 500_000_000), (9, 12), (5_000_000, 1_230_000_000), (7, 3), (0, 0)];
        let said = parts.map(|(part, whole)| bytes_of(part, whole));
        assert_eq!(said, ["120 of 500 MB", "9 of 12 B", "0.01 of 1.23 GB", "3 of 3 B", "0 of 0 B"]);
    }
}
