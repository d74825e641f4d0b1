//! The format of `metrics.bin`.
//!
//! The file begins with `MAGIC`. Then records follow: length of the payload (u32), its CRC-32 (u32), the payload; all
//! numbers little endian. The payload's first byte is its kind:
//!
//! | kind | then |
//! | --- | --- |
//! | 1, schema | number (u16), count (u16), that many names (u16 length, UTF-8): the columns of rows with this number |
//! | 2, row | schema (u16), step (u64), milliseconds since the epoch (u64), one f64 a column |
//! | 3, rewind | step (u64): the run went on from a checkpoint of this step; rows with a larger one are superseded |

use std::collections::HashMap;
use std::sync::Arc;

/// First bytes of the file, with the format's version.
pub(super) const MAGIC: &[u8; 8] = b"FLMETR\x01\n";

const SCHEMA: u8 = 1;
const ROW: u8 = 2;
const REWIND: u8 = 3;

/// Bytes before the payload.
const FRAME: usize = 8;
/// Longest payload that can be; anything longer is damage.
const MAX_PAYLOAD: usize = 1 << 20;

/// Names of a row's columns.
pub(super) type Columns = Arc<[String]>;

/// One thing that a metrics file says.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// Values of a step.
    Row {
        /// Optimizer steps done.
        step: u64,
        /// Milliseconds since the Unix epoch.
        time_ms: u64,
        /// Names of the values.
        columns: Arc<[String]>,
        /// The values.
        values: Vec<f64>,
    },
    /// Rows after this step are superseded by what follows.
    Rewind {
        /// Step of the checkpoint that the run went on from.
        step: u64,
    },
}

pub(super) fn push_schema(out: &mut Vec<u8>, number: u16, columns: &[&str]) {
    push(out, |p| {
        p.push(SCHEMA);
        p.extend(number.to_le_bytes());
        p.extend(u16::try_from(columns.len()).unwrap_or(u16::MAX).to_le_bytes());
        for name in columns {
            p.extend(u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
            p.extend(name.as_bytes());
        }
    });
}

pub(super) fn push_row(out: &mut Vec<u8>, schema: u16, step: u64, time_ms: u64, values: impl Iterator<Item = f64>) {
    push(out, |p| {
        p.push(ROW);
        p.extend(schema.to_le_bytes());
        p.extend(step.to_le_bytes());
        p.extend(time_ms.to_le_bytes());
        values.for_each(|v| p.extend(v.to_le_bytes()));
    });
}

pub(super) fn push_rewind(out: &mut Vec<u8>, step: u64) {
    push(out, |p| {
        p.push(REWIND);
        p.extend(step.to_le_bytes());
    });
}

fn push(out: &mut Vec<u8>, payload: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend([0; FRAME]);
    payload(out);
    let body = start + FRAME;
    let len = u32::try_from(out.len() - body).unwrap_or(u32::MAX);
    let crc = crc32fast::hash(&out[body..]);
    out[start..start + 4].copy_from_slice(&len.to_le_bytes());
    out[start + 4..body].copy_from_slice(&crc.to_le_bytes());
}

fn u16_at(b: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(b.get(at..at + 2)?.try_into().ok()?))
}
fn u32_at(b: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(b.get(at..at + 4)?.try_into().ok()?))
}
fn u64_at(b: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(b.get(at..at + 8)?.try_into().ok()?))
}

/// How often each byte may be hashed in the search for the next whole record. What bytes claim to be records within records without end is
/// damage up to its end.
const TRIES: u64 = 64;

/// Bytes that may yet be hashed.
struct Work(u64);

impl Work {
    fn on(bytes: &[u8]) -> Self {
        Self(TRIES * bytes.len() as u64)
    }
}

/// The payload of a whole and undamaged record that begins at `at`.
fn payload_at<'b>(bytes: &'b [u8], at: usize, work: &mut Work) -> Option<&'b [u8]> {
    let len = usize::try_from(u32_at(bytes, at)?).ok()?;
    if len == 0 || len > MAX_PAYLOAD {
        return None;
    }
    let payload = bytes.get(at + FRAME..at + FRAME + len)?;
    if !matches!(payload[0], SCHEMA..=REWIND) {
        return None;
    }
    work.0 = work.0.checked_sub(len as u64)?;
    (u32_at(bytes, at + 4)? == crc32fast::hash(payload)).then_some(payload)
}

/// What takes in decoded records.
pub(super) trait Sink {
    fn row(&mut self, schema: u16, columns: &Columns, step: u64, time_ms: u64, values: impl Iterator<Item = f64>);
    fn rewind(&mut self, step: u64);
}

/// Reads records piece by piece.
#[derive(Debug, Clone, Default)]
pub(super) struct Decoder {
    pub(super) schemas: HashMap<u16, Columns>,
    /// Stretches of damaged bytes that were skipped.
    pub(super) damaged: usize,
}

impl Decoder {
    /// Takes in all whole records and returns how many bytes were used; the rest is a record that is torn, or not
    /// complete yet.
    pub(super) fn feed(&mut self, bytes: &[u8], sink: &mut impl Sink) -> usize {
        let mut at = 0;
        let mut work = Work::on(bytes);
        while at < bytes.len() {
            if let Some(payload) = payload_at(bytes, at, &mut work) {
                self.record(payload, sink);
                at += FRAME + payload.len();
            } else if let Some(next) = (at + 1..bytes.len()).find(|i| payload_at(bytes, *i, &mut work).is_some()) {
                self.damaged += 1;
                at = next;
            } else {
                break;
            }
        }
        at
    }

    fn record(&mut self, payload: &[u8], sink: &mut impl Sink) {
        match payload[0] {
            SCHEMA => {
                if let Some((number, columns)) = schema(payload) {
                    self.schemas.insert(number, columns);
                }
            }
            ROW => {
                let Some((number, step, time)) =
                    u16_at(payload, 1).and_then(|n| Some((n, u64_at(payload, 3)?, u64_at(payload, 11)?)))
                else {
                    return;
                };
                // A row whose schema was lost to damage cannot be named.
                if let Some(columns) = self.schemas.get(&number) {
                    let values = payload[19..]
                        .chunks_exact(8)
                        .map(|v| f64::from_le_bytes([v[0], v[1], v[2], v[3], v[4], v[5], v[6], v[7]]));
                    sink.row(number, columns, step, time, values.take(columns.len()));
                }
            }
            _ => {
                if let Some(step) = u64_at(payload, 1) {
                    sink.rewind(step);
                }
            }
        }
    }
}

fn schema(payload: &[u8]) -> Option<(u16, Columns)> {
    let number = u16_at(payload, 1)?;
    let mut at = 5;
    let mut names = Vec::new();
    for _ in 0..u16_at(payload, 3)? {
        let len = usize::from(u16_at(payload, at)?);
        names.push(std::str::from_utf8(payload.get(at + 2..at + 2 + len)?).ok()?.to_owned());
        at += 2 + len;
    }
    Some((number, names.into()))
}

/// The step that the last row or rewind in these bytes speaks of. They may begin in the middle of a record.
pub(super) fn last_step_in(bytes: &[u8]) -> Option<u64> {
    let mut last = None;
    let mut at = 0;
    let mut work = Work::on(bytes);
    while at + FRAME < bytes.len() {
        match payload_at(bytes, at, &mut work) {
            Some(payload) => {
                match payload[0] {
                    ROW => last = u64_at(payload, 3),
                    REWIND => last = u64_at(payload, 1),
                    _ => {}
                }
                at += FRAME + payload.len();
            }
            None => at += 1,
        }
    }
    last
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_that_claim_each_other_end_the_search_as_damage() {
        // Every fourth byte begins what could be a record of half a megabyte: to hash them all takes a minute for these eight.
        let mut bytes = Vec::new();
        push_rewind(&mut bytes, 7);
        let whole = bytes.len();
        bytes.resize(whole + 1, 0xff);
        bytes.extend([1u8, 0, 8, 0].repeat(2 << 20));
        let mut items: Vec<Item> = Vec::new();
        assert_eq!(Decoder::default().feed(&bytes, &mut items), whole);
        assert_eq!(items, [Item::Rewind { step: 7 }]);
        assert_eq!(last_step_in(&bytes), Some(7));
    }
}
