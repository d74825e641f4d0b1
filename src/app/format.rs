//! Numbers in few characters, as lists and charts want them.

pub use crate::core::ago::{age, ago};
pub use crate::core::size::{bytes, bytes_of, count};

/// A metric in about six characters: `0.0213`, `12.50`, `1.2e-5`, `nan`.
pub fn number(v: f64) -> String {
    let a = v.abs();
    if v.is_nan() {
        "nan".to_owned()
    } else if v.is_infinite() {
        if v > 0.0 { "inf".to_owned() } else { "-inf".to_owned() }
    } else if a == 0.0 {
        "0".to_owned()
    } else if a < 1e-3 {
        let text = format!("{v:.2e}");
        text.replace(".00e", "e").replacen("0e", "e", usize::from(text.contains('.') && text.contains("0e")))
    } else if a < 10.0 {
        format!("{v:.4}")
    } else if a < 1000.0 {
        format!("{v:.2}")
    } else if a < 1e6 {
        format!("{v:.0}")
    } else {
        format!("{v:.2e}")
    }
}

/// A figure in so many cells: with fewer digits where its own words are longer, since one that is cut is another number.
pub fn within(v: f64, cells: usize, words: fn(f64) -> String) -> String {
    let whole = words(v);
    if whole.chars().count() <= cells {
        return whole;
    }
    let shorter = [format!("{v:.1e}"), format!("{v:.0e}")];
    shorter.into_iter().find(|text| text.len() <= cells).unwrap_or(whole)
}

/// A part as `97 %`; what is not nothing is at least 1.
pub fn percent(part: f64) -> String {
    let n = (part * 100.0).round();
    format!("{:.0} %", if part > 0.0 { n.max(1.0) } else { n })
}

/// Degrees Celsius as `64 °C`.
pub fn degrees(celsius: f64) -> String {
    format!("{celsius:.0} °C")
}

/// Watts as `312/700 W`, with the limit where there is one.
pub fn watts(now: f64, limit: Option<f64>) -> String {
    match limit {
        Some(limit) => format!("{now:.0}/{limit:.0} W"),
        None => format!("{now:.0} W"),
    }
}

/// How values of a metric are written: those of devices in their units.
pub fn of_metric(name: &str) -> fn(f64) -> String {
    match name.strip_prefix("device/").and_then(|rest| rest.rsplit('/').next()) {
        Some("memory") => |v| if v.is_finite() && v >= 0.0 { bytes(v as u64) } else { number(v) },
        Some("load") => |v| if v.is_finite() { percent(v) } else { number(v) },
        Some("temperature") => |v| if v.is_finite() { degrees(v) } else { number(v) },
        Some("power") => |v| if v.is_finite() { watts(v, None) } else { number(v) },
        _ => number,
    }
}

/// Whether a metric is a part of a whole, from 0 to 1.
pub fn is_part(metric: &str) -> bool {
    metric.starts_with("device/") && metric.ends_with("/load")
}

/// Seconds as `4 s`, `3:07`, `2:05:00`, `3 d 4 h`.
pub fn duration(seconds: f64) -> String {
    if !seconds.is_finite() || seconds < 0.0 {
        return "?".to_owned();
    }
    let s = seconds.round() as u64;
    match s {
        0..60 => format!("{s} s"),
        60..3600 => format!("{}:{:02}", s / 60, s % 60),
        3600..172_800 => format!("{}:{:02}:{:02}", s / 3600, s / 60 % 60, s % 60),
        _ => format!("{} d {} h", s / 86_400, s / 3600 % 24),
    }
}

/// What part of a whole, in percent: what is not all is not rounded to 100, and what is something not to 0.
pub fn share(part: u64, whole: u64, digits: usize) -> String {
    let unit = 10f64.powi(i32::try_from(digits).unwrap_or(0));
    let percent = 100.0 * part as f64 / whole.max(1) as f64;
    let least = if part > 0 { 1.0 / unit } else { 0.0 };
    let most = if part < whole { 100.0 - 1.0 / unit } else { 100.0 };
    format!("{:.digits$}%", percent.clamp(least, most))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_are_all_or_nothing_where_they_are() {
        let of = |part, whole| share(part, whole, 1);
        assert_eq!(
            [of(0, 9), of(1, 9_999), of(77_700, 77_701), of(3, 3), of(0, 0)],
            ["0.0%", "0.1%", "99.9%", "100.0%", "0.0%"]
        );
        assert_eq!((share(199, 200, 0), share(1, 400, 0)), ("99%".to_owned(), "1%".to_owned()));
    }

    /// Found by use: the axis of a rate that had fallen to 1.87e-12 said `1.87e-1`.
    #[test]
    fn a_figure_that_does_not_fit_loses_digits_and_not_its_exponent() {
        let shown = [1.87e-12, -1.87e-5, -2.5e-310, 3.5, 1.25e10, -123.45].map(|v| within(v, 7, number));
        assert_eq!(shown, ["1.9e-12", "-1.9e-5", "-3e-310", "3.5000", "1.25e10", "-123.45"]);
        assert_eq!(within(1e9, 7, of_metric("device/cpu/memory")), "1.00 GB");
    }

    #[test]
    fn metrics_fit_a_column() {
        let got: Vec<String> =
            [0.0, 0.0213, 1.0, 12.5, 1234.5, 1e-3, 1.25e-5, 1e-4, 3e9, f64::NAN].map(number).to_vec();
        assert_eq!(got, ["0", "0.0213", "1.0000", "12.50", "1234", "0.0010", "1.25e-5", "1e-4", "3.00e9", "nan"]);
    }

    #[test]
    fn what_a_device_does_is_short() {
        assert_eq!([0.0, 0.001, 0.974, 1.0].map(percent), ["0 %", "1 %", "97 %", "100 %"]);
        assert_eq!(
            (degrees(63.6), watts(311.6, Some(700.0)), watts(9.0, None)),
            ("64 °C".into(), "312/700 W".into(), "9 W".into())
        );
    }

    #[test]
    fn metrics_of_devices_have_units_and_others_do_not() {
        let of = |name: &str, v| of_metric(name)(v);
        assert_eq!(of("device/cuda:0/memory", 2.26e9), "2.26 GB");
        assert_eq!(of("device/cpu/load", 0.5), "50 %");
        assert_eq!(of("device/cuda:1/power", 312.4), "312 W");
        assert_eq!(of("device/cuda:1/temperature", f64::NAN), "nan");
        assert_eq!(of("train/load", 0.5), number(0.5));
    }

    #[test]
    fn times_read_like_a_clock() {
        assert_eq!([3.6, 187.0, 7500.0, 273_600.0, f64::NAN].map(duration), ["4 s", "3:07", "2:05:00", "3 d 4 h", "?"]);
    }
}
