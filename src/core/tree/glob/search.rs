//! The matcher for all patterns, in bounded time.

use super::char_width;

/// A piece of a pattern.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Piece<'p> {
    Text(&'p [u8]),
    /// `?`
    One,
    /// `*`
    Segment,
    /// `**`
    Path,
}

fn pieces(mut pattern: &[u8]) -> Vec<Piece<'_>> {
    let mut pieces = Vec::new();
    while let Some(first) = pattern.first() {
        let (piece, length) = match first {
            b'*' if pattern.starts_with(b"**") => (Piece::Path, 2),
            b'*' => (Piece::Segment, 1),
            b'?' => (Piece::One, 1),
            _ => {
                let length = pattern.iter().position(|c| matches!(c, b'*' | b'?')).unwrap_or(pattern.len());
                (Piece::Text(&pattern[..length]), length)
            }
        };
        pieces.push(piece);
        pattern = &pattern[length..];
    }
    pieces
}

/// What a row knows of a place: whether the rest of the pattern matches the rest of the name, where no segment begins there…
const WITHIN: u8 = 1;
/// …and where one does.
const START: u8 = 2;

fn bit(start: bool) -> u8 {
    if start { START } else { WITHIN }
}

/// The most memory for captures, in bytes; what needs more is no rename that anybody wrote.
const MOST: usize = 64 << 20;

/// The matcher for all patterns, over bytes (UTF-8 compares bytewise; `.` and the wildcards are ASCII). From the pattern's last piece to its first it works out
/// for every place of the name whether the pattern matches from there on, so that its time is that of pattern times name whatever the wildcards.
pub(super) struct Search<'p, 'n> {
    pieces: Vec<Piece<'p>>,
    name: &'n [u8],
}

impl<'p, 'n> Search<'p, 'n> {
    pub fn new(pattern: &'p [u8], name: &'n [u8]) -> Self {
        Self { pieces: pieces(pattern), name }
    }

    /// Wildcards in the pattern.
    #[cfg(test)]
    pub fn wildcards(&self) -> usize {
        self.pieces.iter().filter(|piece| !matches!(piece, Piece::Text(_))).count()
    }

    /// Whether the whole name matches; `start`: a segment begins where it does.
    pub fn matches(&self, start: bool) -> bool {
        let width = self.name.len() + 1;
        // The rows of this piece, the next, and the one after it, in turn.
        let mut rows = vec![0; 3 * width];
        rows[width - 1] = WITHIN | START;
        for at in (0..self.pieces.len()).rev() {
            rows.rotate_right(width);
            let (row, later) = rows.split_at_mut(width);
            let (next, after) = later.split_at(width);
            self.fill(at, row, next, after);
        }
        rows[0] & bit(start) != 0
    }

    /// What each wildcard stands for, where the whole name matches.
    pub fn captures(&self) -> Option<Vec<&'n [u8]>> {
        let width = self.name.len() + 1;
        let count = self.pieces.len();
        if width.saturating_mul(count + 3) > MOST {
            return None;
        }
        let mut rows = vec![0; width * (count + 3)];
        rows[(count + 1) * width - 1] = WITHIN | START;
        for at in (0..count).rev() {
            let (row, later) = rows[at * width..].split_at_mut(width);
            let (next, after) = later.split_at(width);
            self.fill(at, row, next, &after[..width]);
        }
        let row = |at: usize| &rows[at * width..(at + 1) * width];
        let mut captured = Vec::new();
        let (mut at, mut place, mut start) = (0, 0, true);
        if row(0)[0] & bit(start) == 0 {
            return None;
        }
        while let Some(piece) = self.pieces.get(at) {
            let next = row(at + 1);
            if *piece == Piece::Path && start && self.stands_for_nothing(at, place, row(at + 2)) {
                captured.push(&self.name[place..place]);
                // The dot behind it is left out too.
                let Some(Piece::Text(text)) = self.pieces.get(at + 1) else { return None };
                (place, start) = (place + text.len() - 1, text.ends_with(b"."));
                at += 2;
                continue;
            }
            let taken = match piece {
                Piece::Text(text) => text.len(),
                Piece::One => char_width(self.name[place]),
                Piece::Segment => (0..width - place).find(|n| next[place + n] & WITHIN != 0)?,
                Piece::Path => {
                    let least = usize::from(start && self.ends_segment(at));
                    (least..width - place).find(|n| next[place + n] & self.bit_behind(place, *n) != 0)?
                }
            };
            start = match piece {
                Piece::Text(text) => text.ends_with(b"."),
                Piece::Path => self.bit_behind(place, taken) == START,
                _ => false,
            };
            if !matches!(piece, Piece::Text(_)) {
                captured.push(&self.name[place..place + taken]);
            }
            (at, place) = (at + 1, place + taken);
        }
        Some(captured)
    }

    /// Where a `**` that takes so many bytes leaves off.
    fn bit_behind(&self, place: usize, taken: usize) -> u8 {
        bit(taken > 0 && self.name[place + taken - 1] == b'.')
    }

    /// Whether the `**` at this piece is a segment's end: nothing follows it, or a dot.
    fn ends_segment(&self, at: usize) -> bool {
        match self.pieces.get(at + 1) {
            None => true,
            Some(Piece::Text(text)) => text.starts_with(b"."),
            Some(_) => false,
        }
    }

    /// Whether the rest matches where the `**.` at this piece stands for no segment; `after` is the row behind the text with the dot.
    fn stands_for_nothing(&self, at: usize, place: usize, after: &[u8]) -> bool {
        let Some(Piece::Text([b'.', rest @ ..])) = self.pieces.get(at + 1) else { return false };
        let start = rest.last().is_none_or(|c| *c == b'.');
        self.name[place..].starts_with(rest) && after[place + rest.len()] & bit(start) != 0
    }

    /// The row of a piece from those of the two behind it.
    fn fill(&self, at: usize, row: &mut [u8], next: &[u8], after: &[u8]) {
        let name = self.name;
        let both = |matches: bool| if matches { WITHIN | START } else { 0 };
        match self.pieces[at] {
            Piece::Text(text) => {
                let start = bit(text.ends_with(b"."));
                for (place, cell) in row.iter_mut().enumerate() {
                    *cell = both(name[place..].starts_with(text) && next[place + text.len()] & start != 0);
                }
            }
            Piece::One => {
                for (place, cell) in row.iter_mut().enumerate() {
                    let end = place + name.get(place).map_or(0, |c| char_width(*c));
                    let fits = place < name.len() && name[place] != b'.' && end <= name.len();
                    *cell = both(fits && next[end] & WITHIN != 0);
                }
            }
            Piece::Segment => {
                let mut open = false;
                for place in (0..row.len()).rev() {
                    open = next[place] & WITHIN != 0 || (open && name.get(place) != Some(&b'.'));
                    row[place] = both(open);
                }
            }
            Piece::Path => {
                // Whether it matches with one byte or more.
                let mut open = false;
                let ends = self.ends_segment(at);
                for place in (0..row.len()).rev() {
                    open = place < name.len() && (open || next[place + 1] & bit(name[place] == b'.') != 0);
                    let none = next[place] & WITHIN != 0;
                    let begins = if ends { self.stands_for_nothing(at, place, after) } else { none };
                    row[place] = (u8::from(open || none) * WITHIN) | (u8::from(open || begins) * START);
                }
            }
        }
    }
}
