//! How results look: tables, times, and text that came from files made harmless.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use unicode_width::UnicodeWidthStr;

use super::io::Io;

/// A plain table: headers, two blanks between columns, no lines. Its text may come from anywhere.
pub struct Listing {
    /// Each with whether it is aligned to the right.
    headers: Vec<(String, bool)>,
    rows: Vec<Vec<String>>,
    empty: &'static str,
    /// Fitted to the terminal's width.
    fitted: bool,
}

impl Listing {
    /// A table with these headers; a header that begins with `>` is of a column that is aligned to the right. `empty` is said (to stderr)
    /// where there are no rows.
    pub fn new(io: &Io, headers: &[&str], empty: &'static str) -> Self {
        let headers = headers.iter().map(|h| (h.trim_start_matches('>').to_owned(), h.starts_with('>'))).collect();
        Self { headers, rows: Vec::new(), empty, fitted: io.out_is_terminal }
    }

    /// Adds a row.
    pub fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().map(|c| harmless(&c)).collect());
    }

    /// Prints it.
    pub fn print(self, io: &mut Io) -> Result<(), super::error::CliError> {
        if self.rows.is_empty() {
            io.say(self.empty);
            return Ok(());
        }
        let text = if self.fitted { self.fit() } else { self.plain() };
        io.print(&text)
    }

    /// As wide as the terminal, long cells broken; as wide as it is where the terminal says no width (a pseudo-terminal that nobody gave a size).
    fn fit(self) -> String {
        let mut table = Table::new();
        if table.width() == Some(0) {
            return self.plain();
        }
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
        table.set_header(self.headers.iter().map(|(header, _)| header));
        for (i, (_, right)) in self.headers.iter().enumerate() {
            if let Some(column) = table.column_mut(i) {
                column.set_padding((0, 2));
                if *right {
                    column.set_cell_alignment(CellAlignment::Right);
                }
            }
        }
        table.add_rows(self.rows);
        table.trim_fmt()
    }

    /// As wide as it is; a file may have a hundred thousand tensors.
    fn plain(self) -> String {
        let headers: Vec<String> = self.headers.iter().map(|(header, _)| header.clone()).collect();
        let lines = || std::iter::once(&headers).chain(&self.rows);
        let mut widths = vec![0; headers.len()];
        for line in lines() {
            widths.iter_mut().zip(line).for_each(|(width, cell)| *width = cell.width().max(*width));
        }
        let mut text = String::new();
        for line in lines() {
            for ((cell, width), (_, right)) in line.iter().zip(&widths).zip(&self.headers) {
                let blanks = width - cell.width();
                let (before, after) = if *right { (blanks, 0) } else { (0, blanks) };
                text.extend(std::iter::repeat_n(' ', before));
                text.push_str(cell);
                text.extend(std::iter::repeat_n(' ', after + 2));
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text.pop();
        text
    }
}

/// Text in which control characters (an escape sequence in a tensor's name, say) are spelled out.
pub fn harmless(text: &str) -> String {
    if !text.contains(|c: char| c.is_control()) {
        return text.to_owned();
    }
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] }).collect()
}

/// `64x3x7x7`; a scalar is `()`.
pub fn shape(sizes: &[usize]) -> String {
    if sizes.is_empty() {
        return "()".to_owned();
    }
    sizes.iter().map(ToString::to_string).collect::<Vec<_>>().join("x")
}

/// A point in time on this machine's clock, to the minute.
pub fn when(time: jiff::Timestamp) -> String {
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%Y-%m-%d %H:%M").to_string()
}

/// Milliseconds since the Unix epoch on this machine's clock, to the second.
pub fn clock(ms: u64) -> String {
    let time = i64::try_from(ms).ok().and_then(|ms| jiff::Timestamp::from_millisecond(ms).ok()).unwrap_or_default();
    time.to_zoned(jiff::tz::TimeZone::system()).strftime("%H:%M:%S").to_string()
}

/// `val/loss 0.2103  val/top1 0.9712`.
pub fn metrics<'a>(values: impl IntoIterator<Item = (&'a String, &'a f64)>) -> String {
    let text = |(name, value): (&String, &f64)| format!("{name} {}", crate::app::format::number(*value));
    values.into_iter().map(text).collect::<Vec<_>>().join("  ")
}

/// `1 tensor`, `2 tensors`.
pub fn plural(n: usize, noun: &str) -> String {
    format!("{n} {noun}{}", if n == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::tree::by_module;

    #[test]
    fn a_name_cannot_speak_to_the_terminal() {
        assert_eq!(harmless("fc.\u{1b}[2Jweight"), "fc.\\u{1b}[2Jweight");
        assert_eq!(harmless("größe"), "größe");
    }

    #[test]
    fn the_tensors_of_a_module_stand_together() {
        let mut names = ["b.num_batches_tracked", "a.weight", "b.weight", "a.bias", "lone"];
        by_module(&mut names, |n| n);
        assert_eq!(names, ["a.weight", "a.bias", "b.weight", "b.num_batches_tracked", "lone"]);
    }

    #[test]
    fn tables_have_no_trailing_blanks() {
        let (mut io, captured) = Io::captured();
        let mut listing = Listing::new(&io, &["name", ">n"], "nothing");
        listing.row(["a".into(), "1".into()]);
        listing.row(["long".into(), "100".into()]);
        listing.print(&mut io).unwrap();
        assert_eq!(captured.stdout(), "name    n\na       1\nlong  100\n");
    }

    #[test]
    fn a_table_is_the_same_whether_fitted_or_not() {
        let (io, _) = Io::captured();
        let table = || {
            let mut listing = Listing::new(&io, &["name", ">size", "what"], "nothing");
            for cells in [["größe", "12", ""], ["日本", "", "wide"], ["a\u{1b}b", "3", "x  "]] {
                listing.row(cells.map(str::to_owned));
            }
            listing
        };
        assert_eq!(table().plain(), table().fit());
    }
}
