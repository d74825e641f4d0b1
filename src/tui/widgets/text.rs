//! Text measured in cells: cut, padded and wrapped by what the terminal shows, not by characters.

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

/// Cells that a text takes.
pub fn width(text: &str) -> usize {
    text.width()
}

fn clean(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '?' } else { c }).collect()
}

/// Cuts to at most `cells`, with the sign at the end when something is cut. Control characters are shown as `?`.
pub fn cut(text: &str, cells: usize, ellipsis: &str) -> String {
    let clean = clean(text);
    if width(&clean) <= cells {
        return clean;
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut out = String::new();
    let mut used = 0;
    for c in clean.chars() {
        let w = c.width().unwrap_or(0);
        if used + w > room {
            break;
        }
        out.push(c);
        used += w;
    }
    if width(ellipsis) <= cells {
        out.push_str(ellipsis);
    }
    out
}

/// Cuts from the front, so that the end of a path stays readable.
pub fn cut_front(text: &str, cells: usize, ellipsis: &str) -> String {
    let text = clean(text);
    if width(&text) <= cells {
        return text;
    }
    let room = cells.saturating_sub(width(ellipsis));
    let mut kept: Vec<char> = Vec::new();
    let mut used = 0;
    for c in text.chars().rev() {
        let w = c.width().unwrap_or(0);
        if used + w > room {
            break;
        }
        kept.push(c);
        used += w;
    }
    let sign = if width(ellipsis) <= cells { ellipsis } else { "" };
    format!("{sign}{}", kept.into_iter().rev().collect::<String>())
}

/// Cut and padded to exactly `cells`.
pub fn fit(text: &str, cells: usize, right: bool, ellipsis: &str) -> String {
    let text = cut(text, cells, ellipsis);
    let pad = " ".repeat(cells.saturating_sub(width(&text)));
    if right { pad + &text } else { text + &pad }
}

/// Breaks at spaces into lines of at most `cells`; longer words are broken anywhere.
pub fn wrap(text: &str, cells: usize) -> Vec<String> {
    let cells = cells.max(1);
    let mut lines = Vec::new();
    let mut line = String::new();
    for word in text.split(' ') {
        let mut word = word.to_owned();
        if !line.is_empty() && width(&line) + 1 + width(&word) <= cells {
            line.push(' ');
            line.push_str(&word);
            continue;
        }
        if !line.is_empty() {
            lines.push(std::mem::take(&mut line));
        }
        while width(&word) > cells {
            let head = cut(&word, cells, "");
            // A sign wider than the line: nothing fits, so nothing more can be shown of it.
            if head.is_empty() {
                word.clear();
                break;
            }
            word = word.chars().skip(head.chars().count()).collect();
            lines.push(head);
        }
        line = word;
    }
    lines.push(line);
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wide_characters_never_break_a_column() {
        for text in ["layer1", "氷の層", "e\u{301}clair", "a\tb\nc", "👩‍🔬 lab", ""] {
            for cells in 0..12 {
                assert_eq!(width(&fit(text, cells, false, "…")), cells, "{text:?} in {cells}");
                assert!(width(&cut_front(text, cells, "…")) <= cells, "{text:?} in {cells}");
            }
        }
        assert_eq!(cut("氷の層", 4, "…"), "氷…");
        assert_eq!(cut_front("/home/user/model", 8, "…"), "…r/model");
        assert_eq!(fit("7", 3, true, "…"), "  7");
    }

    #[test]
    fn wrapping_loses_no_word() {
        assert_eq!(wrap("the frost line lies here", 10), ["the frost", "line lies", "here"]);
        assert_eq!(wrap("abcdefgh", 3), ["abc", "def", "gh"]);
        assert_eq!(wrap("", 5), [""]);
        assert_eq!(wrap("氷", 1), [""]);
    }
}
