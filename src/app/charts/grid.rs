//! How many charts have room, and where each stands.

/// Least cells of a chart beside others: below this it says nothing.
const LEAST: (u16, u16) = (36, 6);

/// Charts side by side and below each other; the rest are on further pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// Charts side by side.
    pub columns: usize,
    /// Charts below each other.
    pub rows: usize,
}

impl Grid {
    /// For so many charts in so many cells.
    pub fn of(charts: usize, width: u16, height: u16) -> Self {
        let charts = charts.max(1);
        let most = (usize::from(width / LEAST.0).max(1), usize::from(height / LEAST.1).max(1));
        // Of all that hold the charts the one with the fewest empty places, then the one whose charts are nearest to
        // three times as wide as high in cells, as curves want.
        let score = |grid: &Self| {
            let held = grid.page().min(charts);
            let shape = f64::from(width) / grid.columns as f64 / (f64::from(height) / grid.rows as f64).max(1.0);
            (held, std::cmp::Reverse(grid.page() - held), std::cmp::Reverse(((shape / 3.5).ln().abs() * 1000.0) as u64))
        };
        let all = (1..=most.0.min(charts)).flat_map(|columns| (1..=most.1).map(move |rows| Self { columns, rows }));
        all.max_by_key(score).unwrap_or(Self { columns: 1, rows: 1 })
    }

    /// Charts on a page.
    pub fn page(&self) -> usize {
        self.columns * self.rows
    }

    /// The first chart of the page that holds this one.
    pub fn first(&self, chart: usize) -> usize {
        chart / self.page() * self.page()
    }

    /// Left, top, width and height of a place of the page; the last chart of a page takes what is left of its row.
    pub fn place(&self, at: usize, on_page: usize, width: u16, height: u16) -> (u16, u16, u16, u16) {
        let (column, row) = (at % self.columns, at / self.columns);
        let edge = |i: usize, of: usize, cells: u16| u16::try_from(usize::from(cells) * i / of).unwrap_or(cells);
        let rows = on_page.div_ceil(self.columns).max(1);
        let (left, top) = (edge(column, self.columns, width), edge(row, rows, height));
        let right = if at + 1 == on_page { width } else { edge(column + 1, self.columns, width) };
        (left, top, right - left, edge(row + 1, rows, height) - top)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn charts_fill_the_room_without_overlapping() {
        for (width, height) in [(0, 0), (18, 3), (78, 12), (138, 30), (300, 90)] {
            for charts in 0..20 {
                let grid = Grid::of(charts, width, height);
                let on_page = charts.min(grid.page()).max(1);
                let mut cells = 0;
                for at in 0..on_page {
                    let (x, y, w, h) = grid.place(at, on_page, width, height);
                    assert!(x + w <= width && y + h <= height);
                    cells += usize::from(w) * usize::from(h);
                }
                assert_eq!(cells, usize::from(width) * usize::from(height), "{charts} in {width}x{height}: {grid:?}");
            }
        }
        assert_eq!(Grid::of(5, 78, 12), Grid { columns: 2, rows: 2 });
        assert_eq!(Grid::of(5, 18, 3), Grid { columns: 1, rows: 1 });
        assert_eq!(Grid::of(4, 138, 30).page(), 4);
    }

    #[test]
    fn a_page_begins_at_a_multiple_of_its_size() {
        let grid = Grid { columns: 2, rows: 2 };
        assert_eq!([0, 3, 4, 9].map(|c| grid.first(c)), [0, 0, 4, 8]);
    }
}
