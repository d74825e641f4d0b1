//! Cuts a stream of bytes into lines, without ever keeping more than one line of bounded length.

/// What is wrong with a line. The stream goes on behind it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum LineError {
    /// It was longer than allowed; all of it is skipped.
    #[error("the line is longer than {0} bytes")]
    TooLong(usize),
}

/// The cutter.
#[derive(Debug)]
pub struct Lines {
    most: usize,
    part: Vec<u8>,
    /// The rest of a line that was too long is thrown away.
    skipping: bool,
}

impl Lines {
    /// Lines of at most so many bytes.
    pub fn new(most: usize) -> Self {
        Self { most, part: Vec::new(), skipping: false }
    }

    /// Takes in bytes and hands out each line that they complete, without its end. Empty lines are left out.
    pub fn feed(&mut self, mut bytes: &[u8], mut line: impl FnMut(Result<&[u8], LineError>)) {
        while !bytes.is_empty() {
            let end = bytes.iter().position(|b| *b == b'\n');
            let piece = &bytes[..end.unwrap_or(bytes.len())];
            if !self.skipping && self.part.len() + piece.len() > self.most {
                self.skipping = true;
                self.part = Vec::new();
                line(Err(LineError::TooLong(self.most)));
            }
            if !self.skipping {
                self.part.extend_from_slice(piece);
            }
            let Some(end) = end else { return };
            let whole = self.part.strip_suffix(b"\r").unwrap_or(&self.part);
            if !self.skipping && !whole.is_empty() {
                line(Ok(whole));
            }
            self.part.clear();
            self.skipping = false;
            bytes = &bytes[end + 1..];
        }
    }

    /// Bytes that are kept.
    pub fn held(&self) -> usize {
        self.part.len()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn cut(chunks: &[&[u8]], most: usize) -> Vec<Result<String, LineError>> {
        let mut lines = Lines::new(most);
        let mut out = Vec::new();
        for chunk in chunks {
            lines.feed(chunk, |l| out.push(l.map(|l| String::from_utf8_lossy(l).into_owned())));
            assert!(lines.held() <= most);
        }
        out
    }

    #[test]
    fn a_giant_line_is_told_once_and_the_next_one_is_heard() {
        let giant = vec![b'x'; 100];
        let got = cut(&[b"a\r\n\n", &giant, &giant, b"y\nb\n", b"c"], 8);
        assert_eq!(got, [Ok("a".to_owned()), Err(LineError::TooLong(8)), Ok("b".to_owned())]);
    }

    #[test]
    fn a_line_of_just_the_limit_passes() {
        assert_eq!(cut(&[b"12345678\n", b"123456789\n"], 8), [Ok("12345678".to_owned()), Err(LineError::TooLong(8))]);
    }

    proptest! {
        #[test]
        fn how_the_stream_is_cut_does_not_matter(text in "[ab\n]{0,60}", cuts in prop::collection::vec(0..61usize, 0..5)) {
            let bytes = text.as_bytes();
            let mut at: Vec<usize> = cuts.into_iter().map(|c| c.min(bytes.len())).collect();
            at.extend([0, bytes.len()]);
            at.sort_unstable();
            let chunks: Vec<&[u8]> = at.windows(2).map(|w| &bytes[w[0]..w[1]]).collect();
            prop_assert_eq!(cut(&chunks, 8), cut(&[bytes], 8));
        }
    }
}
