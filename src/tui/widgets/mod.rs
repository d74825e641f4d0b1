//! What more than one screen is made of. Knows no screen.

pub mod chart;
pub mod gauge;
pub mod page;
pub mod popup;
pub mod spark;
pub mod table;
pub mod text;

/// First line of a list that is shown so that the cursor stays in the middle where it can.
pub fn window(cursor: usize, len: usize, height: usize) -> usize {
    cursor.saturating_sub(height / 2).min(len.saturating_sub(height))
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_cursor_is_always_in_the_window() {
        for len in 0..30 {
            for height in 1..12 {
                for cursor in 0..len {
                    let first = super::window(cursor, len, height);
                    assert!(first <= cursor && cursor < first + height, "{cursor} of {len} in {height}: {first}");
                    assert!(first + height <= len.max(height), "no empty lines below the end");
                }
            }
        }
    }
}
