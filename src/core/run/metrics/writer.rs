//! Appending metrics. Every record reaches the system at once, so that a reader is never late and a kill costs at most the
//! torn last one; the disk within half a second, from another thread.

use std::io::{self, Write};
use std::path::Path;

use super::reader::MetricsReader;
use super::record::{MAGIC, push_rewind, push_row, push_schema};
use crate::core::io::{BackgroundSync, SafeFile};
use crate::core::run::StoreError;

/// Bytes that wait for a full disk to have room again; what comes beyond them is lost.
const PENDING: usize = 4 << 20;

/// The open metrics file of a run; its owner has one.
#[derive(Debug)]
pub struct MetricsWriter {
    file: SafeFile,
    sync: BackgroundSync,
    /// Bytes of whole records in the file.
    len: u64,
    /// Encoded and not yet written.
    pending: Vec<u8>,
    /// Lists of columns with their schema numbers, those of earlier writers of the file included.
    schemas: Vec<(u16, Vec<String>)>,
    /// Number of the next new list. A number in the file is not taken again, lest rows get names from an older list where
    /// the newer one is damaged.
    next: u16,
    /// Rows lost to a full disk.
    lost: u64,
    dropped: Option<String>,
}

/// Flushes a metrics file, from whichever thread.
#[derive(Debug)]
pub struct MetricsFlush(io::Result<SafeFile>);

impl MetricsFlush {
    /// Waits until the disk has what was written before the [`MetricsWriter`] gave this away.
    pub fn flush(self) -> io::Result<()> {
        self.0?.sync()
    }
}

impl MetricsWriter {
    pub(in crate::core::run) fn open(path: &Path, resume_at: Option<u64>) -> Result<Self, StoreError> {
        let mut reader = MetricsReader::new(path);
        let torn = reader.skip_to_end()?;
        let len = reader.offset();
        let dropped =
            (torn > 0).then(|| format!("metrics.bin: the last {torn} bytes are a torn record and were dropped"));
        let file = SafeFile::append(path).map_err(StoreError::io("open", path))?;
        file.file().set_len(len).map_err(StoreError::io("repair", path))?;
        let sync = BackgroundSync::start(&file).map_err(StoreError::io("watch", path))?;
        let pending = if len == 0 { MAGIC.to_vec() } else { Vec::new() };
        let (schemas, next) = reader.schemas();
        let mut writer = Self { file, sync, len, pending, schemas, next, lost: 0, dropped };
        match resume_at {
            Some(step) => writer.rewind_to(step),
            None => writer.write_pending(),
        }
        .map_err(StoreError::io("write", path))?;
        Ok(writer)
    }

    /// What was cut off the file's end on opening it, in words.
    pub fn dropped(&self) -> Option<&str> {
        self.dropped.as_deref()
    }

    /// Appends the values of a step (optimizer steps done). On an error they are kept in memory, up to a bound, and
    /// written with a later call.
    pub fn append(&mut self, step: u64, time_ms: u64, values: &[(&str, f64)]) -> io::Result<()> {
        if self.pending.len() > PENDING {
            self.lost += 1;
        } else {
            let schema = self.schema_of(values);
            push_row(&mut self.pending, schema, step, time_ms, values.iter().map(|(_, v)| *v));
        }
        self.write_pending()
    }

    /// Says that the run goes on from a checkpoint of this step: rows after it are superseded.
    pub fn rewind_to(&mut self, step: u64) -> io::Result<()> {
        push_rewind(&mut self.pending, step);
        self.write_pending()
    }

    /// Writes what waits and flushes it to the disk.
    pub fn flush(&mut self) -> io::Result<()> {
        self.write_pending()?;
        self.file.sync()
    }

    /// Flushes, from any thread, what was written when it is asked to.
    pub fn flusher(&self) -> MetricsFlush {
        MetricsFlush(self.file.again())
    }

    /// Rows lost because the disk was full for too long.
    pub fn lost(&self) -> u64 {
        self.lost
    }

    /// Writes what waits; the disk may not have it yet.
    pub fn write_pending(&mut self) -> io::Result<()> {
        if self.pending.is_empty() {
            return self.sync.failed();
        }
        if let Err(e) = self.file.write_all(&self.pending) {
            // A part of it may be there; readers would take it for a torn record, the next append must not follow it.
            let _ = self.file.file().set_len(self.len);
            return Err(e);
        }
        self.len += self.pending.len() as u64;
        self.pending.clear();
        self.sync.touch();
        self.sync.failed()
    }

    fn schema_of(&mut self, values: &[(&str, f64)]) -> u16 {
        let same = |s: &[String]| s.len() == values.len() && s.iter().zip(values).all(|(a, (b, _))| a == b);
        if let Some((number, _)) = self.schemas.iter().find(|(_, s)| same(s)) {
            return *number;
        }
        let number = self.next;
        self.next = self.next.wrapping_add(1);
        self.schemas.retain(|(n, _)| *n != number);
        let names: Vec<&str> = values.iter().map(|(n, _)| *n).collect();
        push_schema(&mut self.pending, number, &names);
        self.schemas.push((number, names.into_iter().map(str::to_owned).collect()));
        number
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::core::io::fault;
    use crate::core::run::metrics::{Item, last_step};

    fn file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("metrics.bin");
        (dir, path)
    }

    #[test]
    fn rows_after_the_step_of_a_resume_are_superseded() {
        let (_dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        for step in 1..=5 {
            w.append(step, step, &[("train/loss", step as f64)]).unwrap();
        }
        drop(w);
        let mut w = MetricsWriter::open(&path, Some(3)).unwrap();
        assert_eq!(last_step(&path), Some(3));
        w.append(4, 9, &[("train/loss", 40.0)]).unwrap();
        w.append(4, 9, &[("val/loss", f64::NAN), ("val/top1", 0.5)]).unwrap();
        let (table, dropped) = MetricsReader::read_all(&path).unwrap();
        assert_eq!(dropped, None);
        assert_eq!(table.column("train/loss"), [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0)]);
        assert_eq!(table.column("val/top1"), [(4, 0.5)]);
        assert!(table.last("val/loss").unwrap().is_nan());
        assert_eq!(table.names(), ["train/loss", "val/loss", "val/top1"]);
        assert_eq!(last_step(&path), Some(4));
    }

    #[test]
    fn a_file_cut_anywhere_keeps_its_whole_records_and_can_be_continued() {
        let (_dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        for step in 1..=3 {
            w.append(step, 0, &[("a", 1.0), ("b", 2.0)]).unwrap();
        }
        drop(w);
        let whole = std::fs::read(&path).unwrap();
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let before = MetricsReader::read_all(&path).unwrap().0.len();
            let mut w = MetricsWriter::open(&path, None).unwrap();
            w.append(9, 0, &[("b", 3.0)]).unwrap();
            let (table, dropped) = MetricsReader::read_all(&path).unwrap();
            assert_eq!((table.len(), dropped), (before + 1, None), "cut at {cut}");
            assert_eq!(table.last("b"), Some(3.0));
        }
    }

    #[test]
    fn a_torn_record_is_said() {
        let (_dir, path) = file();
        MetricsWriter::open(&path, None).unwrap().append(1, 0, &[("a", 1.0)]).unwrap();
        let mut bytes = std::fs::read(&path).unwrap();
        bytes.truncate(bytes.len() - 1);
        std::fs::write(&path, bytes).unwrap();
        assert!(MetricsReader::read_all(&path).unwrap().1.unwrap().contains("torn"));
        assert!(MetricsWriter::open(&path, None).unwrap().dropped().unwrap().contains("torn"));
    }

    #[test]
    fn one_flipped_byte_costs_one_record_and_is_said() {
        let (_dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        for step in 1..=20 {
            w.append(step, 0, &[("a", step as f64)]).unwrap();
        }
        let whole = std::fs::read(&path).unwrap();
        // The first record names the columns; after it, any byte.
        let first_row = whole.len() - 20 * (8 + 19 + 8);
        for at in first_row..whole.len() - 35 {
            let mut bytes = whole.clone();
            bytes[at] ^= 0x10;
            std::fs::write(&path, bytes).unwrap();
            let (table, dropped) = MetricsReader::read_all(&path).unwrap();
            assert_eq!(table.len(), 19, "byte {at}");
            assert!(dropped.is_some());
        }
    }

    #[test]
    fn a_follower_sees_each_record_once_however_it_is_cut() {
        let (_dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        w.append(1, 0, &[("a", 1.0)]).unwrap();
        w.append(2, 0, &[("b", 2.0)]).unwrap();
        w.rewind_to(1).unwrap();
        let whole = std::fs::read(&path).unwrap();
        let live = path.with_extension("live");
        let mut reader = MetricsReader::new(&live);
        let mut items = Vec::new();
        for end in 0..=whole.len() {
            std::fs::write(&live, &whole[..end]).unwrap();
            items.extend(reader.poll().unwrap());
        }
        assert!(matches!(
            items.as_slice(),
            [Item::Row { step: 1, .. }, Item::Row { step: 2, .. }, Item::Rewind { step: 1 }]
        ));
    }

    #[test]
    fn a_full_disk_delays_rows_and_loses_none() {
        let (dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        w.append(1, 0, &[("a", 1.0)]).unwrap();
        let full = fault::disk_full_after(dir.path(), 7);
        assert_eq!(w.append(2, 0, &[("a", 2.0)]).unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert!(w.append(3, 0, &[("new", 3.0)]).is_err());
        let (table, dropped) = MetricsReader::read_all(&path).unwrap();
        assert_eq!((table.len(), dropped), (1, None));
        drop(full);
        // A flush of the other thread that failed meanwhile is told now; the row is written all the same.
        let told = w.append(4, 0, &[("a", 4.0)]).err().map(|e| e.kind());
        assert!(matches!(told, None | Some(io::ErrorKind::StorageFull)), "{told:?}");
        let (table, _) = MetricsReader::read_all(&path).unwrap();
        assert_eq!(table.rows().map(|r| r.step).collect::<Vec<_>>(), [1, 2, 3, 4]);
    }

    #[test]
    fn the_last_step_is_found_behind_a_long_schema() {
        let (_dir, path) = file();
        let mut w = MetricsWriter::open(&path, None).unwrap();
        w.append(7, 0, &[("a", 1.0)]).unwrap();
        let long: Vec<String> = (0..3000).map(|i| format!("device/some-long-name-{i}/memory")).collect();
        let wide: Vec<(&str, f64)> = long.iter().map(|n| (n.as_str(), 0.0)).collect();
        w.append(8, 0, &wide).unwrap();
        assert_eq!(last_step(&path), Some(8));
        assert_eq!(last_step(&path.with_extension("none")), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(30))]
        #[test]
        fn what_is_written_is_read(rows in prop::collection::vec((0..4u8, any::<f64>(), any::<f64>()), 0..50)) {
            let (_dir, path) = file();
            let mut w = MetricsWriter::open(&path, None).unwrap();
            for (i, (kind, a, b)) in rows.iter().enumerate() {
                let names = [["x", "y"], ["y", "x"], ["x", "z"], ["z", "long/name"]][usize::from(*kind)];
                w.append(i as u64, 5, &[(names[0], *a), (names[1], *b)]).unwrap();
            }
            let (table, dropped) = MetricsReader::read_all(&path).unwrap();
            prop_assert_eq!(dropped, None);
            prop_assert_eq!(table.len(), rows.len());
            for (row, (i, (_, a, b))) in table.rows().zip(rows.iter().enumerate()) {
                prop_assert_eq!(row.step, i as u64);
                let bits: Vec<u64> = row.values().map(|(_, v)| v.to_bits()).collect();
                prop_assert_eq!(bits, vec![a.to_bits(), b.to_bits()]);
            }
        }
    }
}
