//! Signs that a screen is drawn with: Unicode, or ASCII where the locale is not UTF-8.

use crate::app::config::ChartMarks;

/// The signs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub struct Glyphs {
    pub unicode: bool,
    pub open: &'static str,
    pub folded: &'static str,
    pub leaf: &'static str,
    pub trainable: &'static str,
    pub frozen: &'static str,
    pub no_grad: &'static str,
    pub starved: &'static str,
    pub mixed: &'static str,
    pub staged: &'static str,
    pub arrow: &'static str,
    pub line: &'static str,
    pub bar: &'static str,
    pub full: &'static str,
    pub rest: &'static str,
    pub ellipsis: &'static str,
    pub dot: &'static str,
    pub cursor: &'static str,
    pub yes: &'static str,
    pub no: &'static str,
    pub above: &'static str,
    pub below: &'static str,
    pub best: &'static str,
    pub saved: &'static str,
    pub key: &'static str,
    /// What charts are drawn with.
    pub chart: ChartMarks,
}

impl Glyphs {
    /// Unicode.
    pub const UNICODE: Self = Self {
        unicode: true,
        open: "▾",
        folded: "▸",
        leaf: "·",
        trainable: "●",
        frozen: "❄",
        no_grad: "⊘",
        starved: "✗",
        mixed: "◐",
        staged: "✎",
        arrow: "→",
        line: "─",
        bar: "│",
        full: "█",
        rest: "░",
        ellipsis: "…",
        dot: "·",
        cursor: "▌",
        yes: "✓",
        no: "✗",
        above: "▲",
        below: "▼",
        best: "★",
        saved: "◆",
        key: "━━",
        chart: ChartMarks::Braille,
    };

    /// Seven bits.
    pub const ASCII: Self = Self {
        unicode: false,
        open: "-",
        folded: "+",
        leaf: " ",
        trainable: "o",
        frozen: "#",
        no_grad: "/",
        starved: "!",
        mixed: "%",
        staged: "*",
        arrow: ">",
        line: "-",
        bar: "|",
        full: "#",
        rest: ".",
        ellipsis: "~",
        dot: "-",
        cursor: ">",
        yes: "+",
        no: "x",
        above: "^",
        below: "v",
        best: "*",
        saved: "+",
        key: "--",
        chart: ChartMarks::Ascii,
    };

    /// By the locale (`LC_ALL`, `LC_CTYPE`, `LANG`, the first that is set) and the terminal: the Linux console has no
    /// braille in its font.
    pub fn detect(var: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| var(name).filter(|v| !v.is_empty());
        let locale = set("LC_ALL").or_else(|| set("LC_CTYPE")).or_else(|| set("LANG")).unwrap_or_default();
        let lower = locale.to_ascii_lowercase();
        if !(lower.contains("utf-8") || lower.contains("utf8")) {
            return Self::ASCII;
        }
        let console = set("TERM").is_some_and(|t| t == "linux");
        if console { Self { chart: ChartMarks::Block, ..Self::UNICODE } } else { Self::UNICODE }
    }

    /// Words of the program itself, which are written with Unicode signs, in what the terminal can show.
    pub fn plain(&self, text: &str) -> String {
        if self.unicode || text.is_ascii() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        for c in text.chars() {
            match c {
                '…' => out.push_str("..."),
                '→' => out.push_str("->"),
                '·' | '–' | '—' => out.push('-'),
                '°' => {}
                c if c.is_ascii() => out.push(c),
                _ => out.push('?'),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_without_utf8_gets_ascii() {
        let of = |pairs: &'static [(&str, &str)]| {
            Glyphs::detect(|name| pairs.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
        };
        assert_eq!(of(&[("LANG", "C.UTF-8")]), Glyphs::UNICODE);
        assert_eq!(of(&[("LANG", "en_US.utf8"), ("LC_ALL", "C")]), Glyphs::ASCII);
        assert_eq!(of(&[("LANG", "de_DE.UTF-8"), ("LC_ALL", "")]), Glyphs::UNICODE);
        assert_eq!(of(&[]), Glyphs::ASCII);
        assert_eq!(of(&[("LANG", "C.UTF-8"), ("TERM", "linux")]).chart, ChartMarks::Block);
    }

    #[test]
    fn ascii_words_keep_their_width_to_a_few_signs() {
        assert_eq!(Glyphs::ASCII.plain("stopping… 3 → 4 氷"), "stopping... 3 -> 4 ?");
        assert_eq!(Glyphs::UNICODE.plain("氷"), "氷");
    }
}
