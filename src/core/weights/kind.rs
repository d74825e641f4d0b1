//! What kind of file it is: found by its first bytes, whatever its name says.

use super::WeightsError;
use super::source::Source;

/// The kinds that are read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Safetensors,
    /// A zip archive: torch.save since PyTorch 1.6, or TorchScript.
    Zip,
    /// A stream of pickles: torch.save before PyTorch 1.6.
    Stream,
    /// JSON: the index of a sharded file.
    Index,
}

/// `torch.save`'s magic number as protocols 0 and 1 write it; protocol 2 and later begin with their number.
const MAGIC_TEXT: &[u8] = b"L119547037146038801333356L\n";

pub(super) fn of(source: &Source) -> Result<Kind, WeightsError> {
    let (head, length) = source.head::<512>()?;
    let head = &head[..length];
    // A safetensors header begins with `{` after its length, which few other files have there.
    if head.get(8) == Some(&b'{') {
        return Ok(Kind::Safetensors);
    }
    match head {
        [b'P', b'K', 3, 4, ..] => return Ok(Kind::Zip),
        [0x80, 2..=5, ..] => return Ok(Kind::Stream),
        _ if head.starts_with(MAGIC_TEXT) => return Ok(Kind::Stream),
        _ => {}
    }
    let text = head.trim_ascii_start();
    if text.first() == Some(&b'{') {
        return Ok(Kind::Index);
    }
    match other(head, text) {
        Some(problem) => Err(WeightsError::not_weights(source.path(), problem)),
        // Left to the safetensors reader, which says what is wrong with the header.
        None if plausible_header(head) => Ok(Kind::Safetensors),
        None => Err(WeightsError::not_weights(
            source.path(),
            "is no weights file that is known; known are safetensors, torch.save's files and TorchScript",
        )),
    }
}

/// Whether the first eight bytes could be the length of a safetensors header in a file that is damaged after them.
fn plausible_header(head: &[u8]) -> bool {
    head.first_chunk::<8>().is_some_and(|b| u64::from_le_bytes(*b) < 1 << 32)
}

/// What it is instead, where the first bytes tell.
fn other(head: &[u8], text: &[u8]) -> Option<&'static str> {
    let page = |start: &[u8]| text.len() >= start.len() && text[..start.len()].eq_ignore_ascii_case(start);
    if page(b"<!doctype") || page(b"<html") || page(b"<?xml") || page(b"<head") {
        return Some("is a web page, not weights; the download fetched a page instead of the file");
    }
    if head.get(257..262) == Some(b"ustar") {
        return Some(
            "is a tar archive, the format of torch.save before PyTorch 0.1.10, which is not read; load it in Python and save it anew",
        );
    }
    Some(match head {
        [b'v', b'e', b'r', b's', b'i', b'o', b'n', b' ', ..] => {
            "is a Git LFS pointer, not the file itself; run `git lfs pull`"
        }
        [0x1f, 0x8b, ..] => "is compressed with gzip; decompress it first",
        [0x89, b'H', b'D', b'F', ..] => "is an HDF5 file (Keras?), not weights of PyTorch",
        [b'G', b'G', b'U', b'F', ..] => "is a GGUF file, not weights of PyTorch",
        [b'P', b'K', 5, 6, ..] => "is an empty zip archive",
        [b'P', b'K', ..] => "is a zip archive in parts, which is not read",
        [0x93, b'N', b'U', b'M', b'P', b'Y', ..] => "is a NumPy array (.npy), not a state dict",
        _ => return None,
    })
}
