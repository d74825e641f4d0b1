//! A metric in a few points, and a run's pace, without reading a large file whole.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::record::{Decoder, Item, MAGIC};

/// Files up to this size are read whole.
const WHOLE: u64 = 256 << 10;
/// Bytes read at each place of a larger one.
const PIECE: u64 = 2 << 10;

/// Some rows of a metrics file in order, at most about `places` stretches of a large one.
#[derive(Debug, Clone, Default)]
pub struct Sample {
    items: Vec<Item>,
    /// Not every row is here.
    pub is_sparse: bool,
}

impl Sample {
    /// Reads it; an unreadable file has no rows.
    pub fn read(path: &Path, places: u64) -> Self {
        Self::try_read(path, places.max(1)).unwrap_or_default()
    }

    fn try_read(path: &Path, places: u64) -> std::io::Result<Self> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut decoder = Decoder::default();
        let mut items = Vec::new();
        let mut piece = |at: u64, bytes: u64, items: &mut Vec<Item>| {
            file.seek(SeekFrom::Start(at))?;
            let mut read = Vec::new();
            (&mut file).take(bytes).read_to_end(&mut read)?;
            // A piece that begins within a record: the decoder finds the next whole one.
            decoder.feed(read.get(if at == 0 { MAGIC.len() } else { 0 }..).unwrap_or_default(), items);
            Ok::<_, std::io::Error>(())
        };
        if len <= WHOLE {
            piece(0, len, &mut items)?;
            return Ok(Self { items, is_sparse: false });
        }
        // The beginning names the columns, the end holds the newest rows.
        piece(0, 2 * PIECE, &mut items)?;
        let step = ((len - 3 * PIECE) / places).max(PIECE);
        for i in 1..places {
            piece(2 * PIECE + i * step, PIECE.min(step), &mut items)?;
        }
        piece(len - PIECE, PIECE, &mut items)?;
        Ok(Self { items, is_sparse: true })
    }

    /// Steps and values of a metric; what a resume superseded is left out as far as it can be seen.
    pub fn column(&self, name: &str) -> Vec<(u64, f64)> {
        let mut points: Vec<(u64, f64)> = Vec::new();
        let take_back = |points: &mut Vec<(u64, f64)>, step: u64| {
            while points.last().is_some_and(|(s, _)| *s > step) {
                points.pop();
            }
        };
        for item in &self.items {
            match item {
                Item::Rewind { step } => take_back(&mut points, *step),
                Item::Row { step, columns, values, .. } => {
                    take_back(&mut points, *step);
                    let value = columns.iter().position(|n| n == name).and_then(|i| values.get(i));
                    points.extend(value.map(|v| (*step, *v)));
                }
            }
        }
        points
    }

    /// Steps a second over the last rows; `None` before two steps were made.
    pub fn rate(&self) -> Option<f64> {
        /// Rows and milliseconds that are looked back at most.
        const ROWS: usize = 200;
        const WINDOW_MS: u64 = 30_000;
        let rows = self.items.iter().rev().map_while(|item| match item {
            Item::Row { step, time_ms, .. } => Some((*step, *time_ms)),
            Item::Rewind { .. } => None,
        });
        let mut rows = rows.take(ROWS);
        let last = rows.next()?;
        let fits = |row: &(u64, u64)| row.0 <= last.0 && row.1.saturating_add(WINDOW_MS) >= last.1;
        let first = rows.take_while(fits).last()?;
        (last.1 > first.1 && last.0 > first.0).then(|| (last.0 - first.0) as f64 * 1e3 / (last.1 - first.1) as f64)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::core::run::MetricsWriter;

    fn written(rows: u64) -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.bin");
        let mut writer = MetricsWriter::open(&path, None).unwrap();
        for step in 1..=rows {
            writer.append(step, step * 10, &[("train/loss", step as f64), ("lr", 0.1)]).unwrap();
        }
        writer.flush().unwrap();
        (dir, path)
    }

    #[test]
    fn a_time_at_the_end_of_all_times_makes_no_pace() {
        let items =
            [1, 2].map(|step| Item::Row { step, time_ms: u64::MAX, columns: Arc::default(), values: Vec::new() });
        assert_eq!(Sample { items: items.into(), is_sparse: false }.rate(), None);
    }

    #[test]
    fn a_small_file_is_read_whole() {
        let (_dir, path) = written(100);
        let sample = Sample::read(&path, 16);
        assert_eq!(sample.column("train/loss").len(), 100);
        assert!(!sample.is_sparse && sample.column("other").is_empty());
        assert_eq!(sample.rate(), Some(100.0));
    }

    #[test]
    fn of_a_large_file_a_few_places_are_read_from_first_to_last() {
        let (_dir, path) = written(40_000);
        let len = std::fs::metadata(&path).unwrap().len();
        assert!(len > 4 * WHOLE, "{len}");
        let sample = Sample::read(&path, 24);
        let points = sample.column("train/loss");
        assert!(sample.is_sparse && points.len() < 3000, "{}", points.len());
        assert_eq!((points[0].0, points.last().unwrap().0), (1, 40_000));
        assert!(points.windows(2).all(|w| w[0].0 < w[1].0) && points.iter().all(|(s, v)| *s as f64 == *v));
        let gap = points.windows(2).map(|w| w[1].0 - w[0].0).max().unwrap();
        assert!(gap < 4000, "no long stretch is left out: {gap}");
        assert!((sample.rate().unwrap() - 100.0).abs() < 1e-6);
    }

    #[test]
    fn what_a_resume_superseded_is_left_out() {
        let (_dir, path) = written(50);
        let mut writer = MetricsWriter::open(&path, Some(20)).unwrap();
        writer.append(21, 1000, &[("train/loss", -1.0), ("lr", 0.1)]).unwrap();
        writer.flush().unwrap();
        let sample = Sample::read(&path, 8);
        assert_eq!(sample.column("train/loss").last(), Some(&(21, -1.0)));
        assert_eq!(sample.column("train/loss").len(), 21);
        assert_eq!(sample.rate(), None, "one step since then is no pace");
        assert!(Sample::read(std::path::Path::new("/nowhere"), 8).column("lr").is_empty());
    }
}
