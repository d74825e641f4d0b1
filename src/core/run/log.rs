//! `events.jsonl`: the rare events of a run, one JSON object a line, appended as they happen.
//!
//! Written by the run's owner alone. Lines reach the system at once and the disk within half a second; a full disk loses
//! nothing as long as the queue holds: what could not be written is tried again before the next event.

use std::collections::VecDeque;
use std::io::Write;
use std::path::{Path, PathBuf};

use super::StoreError;
use crate::core::event::{Event, Record};
use crate::core::io::{BackgroundSync, SafeFile};

/// Events that wait for a full disk to have room again. Beyond it the oldest are dropped and counted.
const QUEUE: usize = 4096;

/// Room on the disk kept for events to come: how a run ended can be told on a full disk too. It is given back with the
/// end, or by whoever opens the log next.
const RESERVE: u64 = 64 << 10;
/// The part of it that only the end may take: a disk that stays full for long makes many events.
const LAST: u64 = 16 << 10;

/// The open log.
#[derive(Debug)]
pub struct EventLog {
    file: SafeFile,
    path: PathBuf,
    /// Bytes of whole lines in the file.
    len: u64,
    /// Where the room kept on the disk ends; `None` where the file system keeps none, and once the run has ended.
    reserved: Option<u64>,
    /// Lines not yet written.
    queue: VecDeque<String>,
    /// Lines dropped from the queue since the last that was written.
    lost: u64,
    sync: BackgroundSync,
}

impl EventLog {
    /// Opens the log for appending and cuts off a torn last line.
    pub(super) fn open(path: &Path) -> Result<Self, StoreError> {
        let file = SafeFile::append(path).map_err(StoreError::io("open", path))?;
        let bytes = std::fs::read(path).map_err(StoreError::io("read", path))?;
        let len = whole_lines(&bytes) as u64;
        file.file().set_len(len).map_err(StoreError::io("repair", path))?;
        let sync = BackgroundSync::start(&file).map_err(StoreError::io("watch", path))?;
        let reserved = file.reserve(len, RESERVE).is_ok().then_some(len + RESERVE);
        Ok(Self { file, path: path.to_owned(), len, reserved, queue: VecDeque::new(), lost: 0, sync })
    }

    /// Appends an event. On an error the event is kept in memory and tried again with the next one, or by
    /// [`EventLog::retry`].
    pub fn append(&mut self, record: &Record) -> Result<(), StoreError> {
        let line = serde_json::to_string(record)
            .map_err(|e| StoreError::Damaged { path: self.path.clone(), message: e.to_string() })?;
        if record.event.is_end() {
            return self.end(line + "\n");
        }
        self.enqueue(line + "\n");
        self.retry()
    }

    fn enqueue(&mut self, line: String) {
        if self.queue.len() == QUEUE {
            self.queue.pop_front();
            self.lost += 1;
        }
        self.queue.push_back(line);
    }

    /// The last word. On a full disk it takes the room kept for it; what still waits then is lost, which is said.
    fn end(&mut self, line: String) -> Result<(), StoreError> {
        let full = self.retry().is_err_and(|e| is_full(&e));
        let kept = self.reserved.take().is_some();
        let lost = self.lost;
        let waiting = if full && kept { std::mem::take(&mut self.queue) } else { VecDeque::new() };
        if !waiting.is_empty() {
            self.lost += waiting.len() as u64;
            self.say_lost();
        }
        self.enqueue(line);
        if let Err(error) = self.retry() {
            if !waiting.is_empty()
                && let Some(line) = self.queue.pop_back()
            {
                self.queue = waiting;
                self.queue.push_back(line);
                self.lost = lost;
            }
            return Err(error);
        }
        // What is kept beyond the end of a file goes with a change of its length, to the same one too.
        if kept {
            let _ = self.file.file().set_len(self.len);
        }
        self.file.sync().map_err(StoreError::io("flush", &self.path))
    }

    /// Writes what waits.
    pub fn retry(&mut self) -> Result<(), StoreError> {
        while let Some(line) = self.queue.front() {
            if let Some(end) = self.reserved.filter(|end| *end < self.len + RESERVE / 2) {
                match self.file.reserve(self.len, RESERVE) {
                    Ok(()) => self.reserved = Some(self.len + RESERVE),
                    Err(e) if self.len + line.len() as u64 + LAST > end => {
                        return Err(StoreError::io("write", &self.path)(e));
                    }
                    Err(_) => {}
                }
            }
            let written = self.file.write_all(line.as_bytes());
            if let Err(e) = written {
                // A part of the line may be there; it must not become the beginning of the next one.
                if self.file.file().metadata().is_ok_and(|m| m.len() != self.len) {
                    let _ = self.file.file().set_len(self.len);
                    let kept = self.reserved.is_some() && self.file.reserve(self.len, RESERVE).is_ok();
                    self.reserved = kept.then_some(self.len + RESERVE);
                }
                return Err(StoreError::io("write", &self.path)(e));
            }
            self.len += line.len() as u64;
            self.queue.pop_front();
            self.sync.touch();
            if self.lost > 0 && self.queue.is_empty() {
                self.say_lost();
            }
        }
        self.sync.failed().map_err(StoreError::io("flush", &self.path))
    }

    /// Events that wait in memory.
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    fn say_lost(&mut self) {
        let message = format!("{} events could not be written in time and are missing from events.jsonl", self.lost);
        let time_ms = u64::try_from(jiff::Timestamp::now().as_millisecond()).unwrap_or(0);
        let record = Record { time_ms, step: 0, event: Event::Warning { message } };
        if let Ok(line) = serde_json::to_string(&record) {
            self.queue.push_back(line + "\n");
        }
        self.lost = 0;
    }
}

fn is_full(error: &StoreError) -> bool {
    use std::io::ErrorKind::{QuotaExceeded, StorageFull};
    matches!(error, StoreError::Io { source, .. } if matches!(source.kind(), StorageFull | QuotaExceeded))
}

fn whole_lines(bytes: &[u8]) -> usize {
    bytes.iter().rposition(|b| *b == b'\n').map_or(0, |i| i + 1)
}

/// The events in the file's bytes, and what had to be dropped, in words.
pub(super) fn parse(bytes: &[u8]) -> (Vec<Record>, Option<String>) {
    let whole = whole_lines(bytes);
    let mut damaged = Vec::new();
    let mut records = Vec::new();
    for (i, line) in bytes[..whole].split(|b| *b == b'\n').enumerate() {
        if line.is_empty() {
            continue;
        }
        match serde_json::from_slice(line) {
            Ok(record) => records.push(record),
            Err(_) => damaged.push(i + 1),
        }
    }
    let mut said = Vec::new();
    if let Some(first) = damaged.first() {
        let more = if damaged.len() > 1 { format!(" and {} more", damaged.len() - 1) } else { String::new() };
        said.push(format!("events.jsonl: line {first}{more} could not be read and was skipped"));
    }
    if whole < bytes.len() {
        said.push(format!("events.jsonl: the last {} bytes are a torn event and were dropped", bytes.len() - whole));
    }
    (records, (!said.is_empty()).then(|| said.join("; ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::io::fault;

    fn warning(n: u64) -> Record {
        Record { time_ms: n, step: n, event: Event::Warning { message: format!("w{n}") } }
    }

    fn read(path: &Path) -> (Vec<Record>, Option<String>) {
        parse(&std::fs::read(path).unwrap())
    }

    #[test]
    fn a_torn_last_line_is_dropped_said_and_cut_off_before_the_next_event() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        EventLog::open(&path).unwrap().append(&warning(1)).unwrap();
        let whole = std::fs::read(&path).unwrap();
        for cut in 1..whole.len() {
            let mut torn = whole.clone();
            torn.extend(&whole[..cut]);
            std::fs::write(&path, &torn).unwrap();
            let (records, dropped) = read(&path);
            assert_eq!(records, [warning(1)]);
            assert!(dropped.unwrap().contains("torn"));
            EventLog::open(&path).unwrap().append(&warning(2)).unwrap();
            assert_eq!(read(&path), (vec![warning(1), warning(2)], None));
        }
    }

    #[test]
    fn a_damaged_line_in_the_middle_costs_that_line_only() {
        let mut bytes = serde_json::to_vec(&warning(1)).unwrap();
        bytes.extend(b"\n\0\0\0\n");
        bytes.extend(serde_json::to_vec(&warning(2)).unwrap());
        bytes.push(b'\n');
        let (records, dropped) = parse(&bytes);
        assert_eq!(records, [warning(1), warning(2)]);
        assert!(dropped.unwrap().contains("line 2"));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn room_for_events_to_come_is_kept_until_the_end() {
        use std::os::unix::fs::MetadataExt;

        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let kept = || std::fs::metadata(&path).map(|m| (m.blocks() * 512).saturating_sub(m.len())).unwrap();
        let mut log = EventLog::open(&path).unwrap();
        if kept() < RESERVE {
            eprintln!("skipped: this file system keeps no room for a file");
            return;
        }
        assert_eq!(std::fs::metadata(&path).unwrap().len(), 0);
        for n in 0..2000 {
            log.append(&warning(n)).unwrap();
            assert!(kept() > RESERVE / 4, "{n}: {}", kept());
        }
        log.append(&Record { time_ms: 0, step: 1, event: Event::Failed { message: "full".to_owned() } }).unwrap();
        assert!(kept() < 8192, "{}", kept());
        assert_eq!(read(&path).0.len(), 2001);
    }

    #[test]
    fn events_survive_a_full_disk_in_order() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        log.append(&warning(1)).unwrap();
        let full = fault::disk_full_after(dir.path(), 10);
        let error = log.append(&warning(2)).unwrap_err().to_string();
        assert!(error.contains("events.jsonl") && error.contains("No space left") && error.contains("free some space"));
        assert!(log.append(&warning(3)).is_err());
        assert_eq!(read(&path), (vec![warning(1)], None));
        drop(full);
        // A flush in the background may have met the full disk; that is told once, and the event is written all the same.
        if let Err(error) = log.append(&warning(4)) {
            assert!(matches!(error, StoreError::Io { action: "flush", .. }), "{error}");
        }
        log.append(&warning(5)).unwrap();
        assert_eq!(read(&path).0, [warning(1), warning(2), warning(3), warning(4), warning(5)]);
    }

    #[test]
    fn the_queue_is_bounded_and_what_it_drops_is_said() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut log = EventLog::open(&path).unwrap();
        let full = fault::disk_full_after(dir.path(), 0);
        for n in 0..QUEUE as u64 + 5 {
            assert!(log.append(&warning(n)).is_err());
        }
        drop(full);
        log.retry().unwrap();
        let (records, _) = read(&path);
        assert_eq!(records.len(), QUEUE + 1);
        assert_eq!(records[0], warning(5));
        assert!(matches!(&records[QUEUE].event, Event::Warning { message } if message.starts_with("5 events")));
    }
}
