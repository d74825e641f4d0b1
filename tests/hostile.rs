//! Weights files that lie, are cut off, or are made to do harm: each ends in one line that names the file, soon, without a panic, and takes no more
//! memory than the file's own size and 64 MiB, which a counting allocator measures.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]
#![allow(unsafe_code, reason = "an allocator that counts")]

#[path = "support/files.rs"]
mod files;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::mpsc;
use std::time::Duration;

use files::{Entry, Pickle, deflated_run, legacy, safetensors, torch_entries, torch_zip, zip};
use frostline::core::checkpoint::{FileSum, OPTIMIZER, STATE, TrainState, WEIGHTS};
use frostline::core::tensor::HostTensor;
use frostline::core::weights::{self, FileListing, Found, InFile};

/// Counts what each thread holds, and the most that it held.
struct Counting;

thread_local! {
    static HELD: Cell<isize> = const { Cell::new(0) };
    static PEAK: Cell<isize> = const { Cell::new(0) };
}

fn count(change: isize) {
    let held = HELD.get() + change;
    HELD.set(held);
    PEAK.set(PEAK.get().max(held));
}

// SAFETY: everything is passed on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc(layout) }
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.alloc_zeroed(layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        count(size as isize - layout.size() as isize);
        // SAFETY: as the caller promises.
        unsafe { System.realloc(at, layout, size) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        count(-(layout.size() as isize));
        // SAFETY: as the caller promises.
        unsafe { System.dealloc(at, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// What reading may take beyond the file's size.
const SLACK: u64 = 64 << 20;
/// Whoever takes longer hangs.
const TIME: Duration = Duration::from_secs(60);

type Said<T> = Result<T, String>;

/// What became of a file: of listing it, and of reading it with how many bytes of tensors.
#[derive(Debug, PartialEq)]
struct Outcome {
    listed: Said<FileListing>,
    read: Said<u64>,
}

/// Runs `work`, and returns what it returned and the most memory that it held meanwhile.
fn weighed<T>(work: impl FnOnce() -> T) -> (T, u64) {
    let before = HELD.get();
    PEAK.set(before);
    let done = work();
    (done, (PEAK.get() - before) as u64)
}

/// Runs `work` in a thread of its own, which must end in time.
fn in_time<T: Send + 'static>(what: &str, work: impl FnOnce() -> T + Send + 'static) -> T {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || send.send(work()));
    receive.recv_timeout(TIME).unwrap_or_else(|e| panic!("{what}: it panicked, or takes for ever ({e})"))
}

/// Lists and reads a path whose files have `size` bytes together.
fn attempt(path: &Path, size: u64) -> Outcome {
    let what = path.display().to_string();
    let within = |peak: u64, doing: &str| {
        assert!(peak <= size + SLACK, "{what}: {doing} took {peak} bytes, the file has {size}");
    };
    let at = path.to_owned();
    let (listed, read, found) = in_time(&what, move || {
        let listed = weighed(|| weights::inspect(&at).map_err(|e| e.to_string()));
        let read = weighed(|| {
            let state = weights::read(&at, None).map_err(|e| e.to_string())?;
            for t in &state.tensors {
                let elements: usize = t.shape.iter().product();
                assert_eq!(elements * t.dtype.size(), t.data.len(), "{}", t.name);
            }
            Ok(state.tensors.iter().map(|t| t.data.len() as u64).sum())
        });
        let found = weighed(|| {
            let found = weights::find_some(&at, None, &|_| true).map_err(|e| e.to_string())?;
            Ok(if let Found::InFile(found) = found { places(&found) } else { 0 })
        });
        (listed, read, found)
    });
    within(listed.1, "listing");
    within(read.1, "reading");
    within(found.1, "finding");
    let (listed, read, found): (_, _, Said<u64>) = (listed.0, read.0, found.0);
    match &found {
        Ok(0) => {}
        _ => assert_eq!(found, read, "{what}: found and read say different things"),
    }
    for error in listed.as_ref().err().into_iter().chain(read.as_ref().err()) {
        assert!(!error.contains(|c: char| c.is_control()), "{what}: {error:?}");
        let folder = path.parent().unwrap().to_str().unwrap().replace(|c: char| c.is_control(), "?");
        assert!(error.contains(&folder), "the file is not named: {error}");
        assert!(error.chars().count() < folder.len() + 700, "{what}: a long line: {error}");
    }
    if let Err(error) = &listed {
        assert_eq!(read.as_ref(), Err(error), "{what}: listed and read say different things");
    }
    Outcome { listed, read }
}

/// Bytes of the tensors in files that would be mapped: all within their file.
fn places(found: &InFile) -> u64 {
    for t in &found.tensors {
        let end = t.at.checked_add(t.bytes() as u64).unwrap();
        assert!(end <= found.files[t.file].size(), "{}", t.name);
    }
    found.tensors.iter().map(|t| t.bytes() as u64).sum()
}

struct Place(tempfile::TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn at(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn file(&self, bytes: &[u8]) -> Outcome {
        let path = self.at("file.pth");
        std::fs::write(&path, bytes).unwrap();
        attempt(&path, bytes.len() as u64)
    }

    /// Refused with these words, when it is listed already.
    #[track_caller]
    fn refused(&self, what: &str, bytes: &[u8], words: &str) {
        match self.file(bytes).listed {
            Err(error) => assert!(error.contains(words), "{what}: {error}"),
            Ok(listing) => panic!("{what} was listed: {:?}", listing.tensors.first()),
        }
    }

    /// Refused with these words, at the latest when it is read.
    #[track_caller]
    fn unread(&self, what: &str, bytes: &[u8], words: &str) {
        match self.file(bytes).read {
            Err(error) => assert!(error.contains(words), "{what}: {error}"),
            Ok(n) => panic!("{what} was read: {n} bytes"),
        }
    }

    /// Taken, which must do no harm.
    #[track_caller]
    fn taken(&self, what: &str, bytes: &[u8]) -> FileListing {
        let outcome = self.file(bytes);
        assert!(outcome.read.is_ok(), "{what}: {:?}", outcome.read);
        outcome.listed.unwrap()
    }

    /// Cut off at every byte, it is refused; at the last at least.
    #[track_caller]
    fn cut_everywhere(&self, what: &str, bytes: &[u8]) {
        self.taken(what, bytes);
        for length in 0..bytes.len() {
            let outcome = self.file(&bytes[..length]);
            assert!(outcome.read.is_err(), "{what} cut off at {length} of {} was read", bytes.len());
        }
    }

    /// Every byte is set to a few others: nothing worse than a refusal may come of it.
    fn bent_everywhere(&self, bytes: &[u8]) {
        let mut bent = bytes.to_vec();
        for at in 0..bytes.len() {
            for value in [0xff, bytes[at] ^ 1, bytes[at] ^ 0x80] {
                bent[at] = value;
                self.file(&bent);
            }
            bent[at] = bytes[at];
        }
    }
}

fn pair() -> Vec<u8> {
    torch_zip(&files::state_dict(&[("a.weight", 4), ("a.bias", 2)]), &[&[1; 16], &[2; 8]])
}

fn old_pair() -> Vec<u8> {
    legacy(&files::state_dict(&[("a.weight", 4), ("a.bias", 2)]), &[("0", 4, &[1; 16]), ("1", 2, &[2; 8])])
}

#[test]
fn files_cut_off_at_any_byte_are_refused() {
    let place = Place::new();
    place.cut_everywhere("safetensors", &files::small_safetensors());
    place.cut_everywhere("torch.save", &pair());
    place.cut_everywhere("old torch.save", &old_pair());
    place.cut_everywhere("TorchScript", &zip(&files::script_entries()));
    let path = place.at("own.pth");
    let tensors = [HostTensor::from_f32("a", &[2, 2], &[1.0; 4]), HostTensor::from_f32("b", &[3], &[2.0; 3])];
    weights::write_pth(&path, &tensors, false).unwrap();
    place.cut_everywhere("our own .pth", &std::fs::read(&path).unwrap());
    weights::write_safetensors(&path, &tensors, &BTreeMap::new(), true).unwrap();
    place.cut_everywhere("our own safetensors", &std::fs::read(&path).unwrap());
}

#[test]
fn files_with_any_byte_changed_do_no_harm() {
    let place = Place::new();
    for bytes in [files::small_safetensors(), pair(), old_pair(), zip(&files::script_entries())] {
        place.bent_everywhere(&bytes);
    }
}

#[test]
fn long_files_cut_off_between_their_parts_are_refused() {
    let place = Place::new();
    let names: Vec<String> = (0..300).map(|i| format!("layer{i}.weight")).collect();
    let tensors: Vec<(&str, i128)> = names.iter().map(|n| (n.as_str(), 64)).collect();
    let data = vec![7; 256];
    let pickle = files::state_dict(&tensors);
    let storages: Vec<&[u8]> = tensors.iter().map(|_| data.as_slice()).collect();
    let (bytes, places) = files::zip_places(&torch_entries(&pickle, &storages));
    place.taken("a long archive", &bytes);
    for at in places.locals.iter().chain(&places.data).chain(&places.centrals).skip(1).step_by(7).chain([&places.end]) {
        place.refused("an archive cut off", &bytes[..*at], "cut off");
    }
    let keys: Vec<String> = (0..300).map(|i| i.to_string()).collect();
    let stored: Vec<(&str, u64, &[u8])> = keys.iter().map(|k| (k.as_str(), 64, data.as_slice())).collect();
    let (bytes, places) = files::legacy_places(&pickle, &stored);
    place.taken("a long stream", &bytes);
    for at in places.iter().take(4).chain(places.iter().skip(4).step_by(7)) {
        place.refused("a stream cut off", &bytes[..*at], "damaged torch.save file");
    }
}

#[test]
fn safetensors_headers_that_lie_are_refused() {
    let place = Place::new();
    let one = |shape: &str, from: &str, to: &str| {
        format!(r#"{{"a":{{"dtype":"F32","shape":{shape},"data_offsets":[{from},{to}]}}}}"#)
    };
    let file = |header: &str, data: usize| safetensors(header, &vec![0; data]);
    for length in [3, 1 << 20, 100_000_001, 1 << 40, 1 << 63, u64::MAX] {
        let bytes = [&u64::to_le_bytes(length)[..], b"{}", &[0; 64]].concat();
        assert!(place.file(&bytes).listed.is_err(), "a header of {length} bytes");
    }
    for (shape, from, to, data) in [
        ("[2]", "0", "8", 7),
        ("[2]", "0", "8", 9),
        ("[2]", "1", "9", 9),
        ("[2]", "8", "0", 8),
        ("[3]", "0", "8", 8),
        ("[-2]", "0", "8", 8),
        ("[NaN]", "0", "8", 8),
        ("[1e3]", "0", "8", 8),
        ("[2.0]", "0", "8", 8),
        ("[null]", "0", "8", 8),
        ("[9223372036854775808]", "0", "8", 8),
        ("[18446744073709551615]", "0", "8", 8),
        ("[18446744073709551616]", "0", "8", 8),
        ("[4294967296,4294967296]", "0", "8", 8),
        ("[4294967296,4294967296]", "0", "0", 0),
        ("[2]", "0", "18446744073709551615", 8),
        ("[2]", "-1", "7", 8),
        ("[2]", "18446744073709551608", "18446744073709551615", 8),
        ("2", "0", "8", 8),
    ] {
        place.refused(&format!("{shape} {from}..{to}"), &file(&one(shape, from, to), data), "damaged safetensors file");
    }
    let two = |a: &str, b: &str| {
        format!(
            r#"{{"a":{{"dtype":"U8","shape":[4],"data_offsets":{a}}},"b":{{"dtype":"U8","shape":[4],"data_offsets":{b}}}}}"#
        )
    };
    for (a, b, data) in [("[0,4]", "[2,6]", 6), ("[0,4]", "[0,4]", 4), ("[0,4]", "[5,9]", 9), ("[1,5]", "[5,9]", 9)] {
        place.refused("an overlap or a gap", &file(&two(a, b), data), "overlaps another one or leaves a gap");
    }
    place.refused("one name twice", &file(&two("[0,4]", "[4,8]").replace("\"b\"", "\"a\""), 8), "listed twice");
    place.refused("not JSON", &[&8u64.to_le_bytes()[..], b"{\xff\xfe\"a\":}", &[0; 9]].concat(), "does not parse");
    place.refused("deep nesting", &file(&format!(r#"{{"a":{}"#, "[".repeat(100_000)), 0), "does not parse");
    let deep = format!(
        r#"{{"a":{{"dtype":"U8","shape":[0],"data_offsets":[0,0],"x":{}1{}}}}}"#,
        "[".repeat(9000),
        "]".repeat(9000)
    );
    place.taken("deep nesting in a field that is not looked at", &file(&deep, 0));
    place.refused("many sizes", &file(&one(&format!("[{}1]", "1,".repeat(3_000_000)), "0", "4"), 4), "64 dimensions");
    place.refused(
        "an unknown type",
        &file(&one("[2]", "0", "8").replace("F32", "X\\u001b[31m\\n"), 8),
        "does not parse",
    );
    place.refused("metadata that is no text", &file(r#"{"__metadata__":{"a":[1]}}"#, 0), "does not parse");
    place.refused("metadata twice", &file(r#"{"__metadata__":{},"__metadata__":{}}"#, 0), "twice");
    for (name, word) in [("a\\nb", "a?b"), ("\\u001b[2J", "?[2J"), ("\\u202eab", "?ab"), ("\\u2028", "?")] {
        let header = two("[0,4]", "[2,6]").replace("\"b\"", &format!("\"{name}\""));
        place.refused("a wild name", &file(&header, 6), word);
    }
}

#[test]
fn safetensors_headers_take_no_more_memory_than_they_may() {
    let place = Place::new();
    // The smallest entries there are; many remarks; one long text, plain and escaped, as a name, a type, a shape, a remark.
    let small: Vec<String> =
        (0..1_000_000).map(|i| format!(r#""{i:x}":{{"dtype":"U8","shape":[0],"data_offsets":[0,0]}}"#)).collect();
    place.refused("a million empty tensors", &safetensors(&format!("{{{}}}", small.join(",")), &[]), "damaged");
    place.taken("some empty tensors", &safetensors(&format!("{{{}}}", small[..100_000].join(",")), &[]));
    let remarks: Vec<String> = (0..1_500_000).map(|i| format!(r#""{i:x}":"""#)).collect();
    place.refused(
        "many remarks",
        &safetensors(&format!(r#"{{"__metadata__":{{{}}}}}"#, remarks.join(",")), &[]),
        "damaged",
    );
    for text in ["x".repeat(16 << 20), "\\u0041".repeat(4 << 20), "é".repeat(10 << 20)] {
        for header in [
            format!(r#"{{"{text}":{{"dtype":"U8","shape":[1],"data_offsets":[0,0]}}}}"#),
            format!(r#"{{"a":{{"dtype":"{text}","shape":[1],"data_offsets":[0,0]}}}}"#),
            format!(r#"{{"a":{{"dtype":"U8","shape":"{text}","data_offsets":[0,0]}}}}"#),
            format!(r#"{{"a":{{"{text}":"U8"}}}}"#),
            format!(r#"{{"__metadata__":{{"{text}":[]}}}}"#),
        ] {
            place.refused("a long text", &safetensors(&header, &[]), "damaged safetensors file");
        }
    }
    let remark = format!(r#"{{"__metadata__":{{"notes":"{}"}}}}"#, "x".repeat(4 << 20));
    assert_eq!(place.taken("long notes", &safetensors(&remark, &[])).metadata["notes"].len(), 4 << 20);
}

#[test]
fn what_is_no_file_is_refused_at_once() {
    let place = Place::new();
    let make = |name: &str, kind: rustix::fs::FileType| {
        let path = place.at(name);
        rustix::fs::mknodat(rustix::fs::CWD, &path, kind, rustix::fs::Mode::from_raw_mode(0o600), 0).unwrap();
        path
    };
    let refused = |path: &Path, words: &str| {
        let error = attempt(path, 0).listed.unwrap_err();
        assert!(error.contains(words), "{error}");
    };
    let fifo = make("fifo", rustix::fs::FileType::Fifo);
    refused(&fifo, "is a pipe or device");
    std::os::unix::fs::symlink(&fifo, place.at("to-fifo")).unwrap();
    refused(&place.at("to-fifo"), "is a pipe or device");
    let _socket = std::os::unix::net::UnixListener::bind(place.at("socket")).unwrap();
    refused(&place.at("socket"), "is a pipe or device");
    for device in ["/dev/zero", "/dev/null", "/dev/urandom", "/dev/tty"] {
        if Path::new(device).exists() {
            refused(Path::new(device), "is a pipe or device");
        }
    }
    for (a, b) in [("loop-a", "loop-b"), ("loop-b", "loop-a"), ("gone", "nowhere")] {
        std::os::unix::fs::symlink(place.at(b), place.at(a)).unwrap();
    }
    refused(&place.at("loop-a"), "cannot read");
    refused(&place.at("gone"), "cannot read");
    refused(&place.at("none"), "cannot read");
    refused(&place.at("none/below"), "cannot read");
    refused(place.0.path(), "is a folder without weights");
    // Files whose size is not what can be read.
    for special in ["/proc/self/maps", "/proc/self/mem", "/sys/kernel/uevent_seqnum"] {
        if Path::new(special).exists() {
            assert!(attempt(Path::new(special), 0).listed.is_err());
        }
    }
    let secret = place.at("secret.safetensors");
    std::fs::write(&secret, files::small_safetensors()).unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o000)).unwrap();
    // Nobody forbids root anything.
    match attempt(&secret, 1 << 10).listed {
        Err(error) => assert!(error.contains("cannot open: Permission denied"), "{error}"),
        Ok(_) => assert!(rustix::process::geteuid().is_root()),
    }
    // A name that would break the line.
    let wild = place.at("a\nb\u{1b}[2J.pth");
    std::fs::write(&wild, "neither this nor that").unwrap();
    refused(&wild, "a?b?[2J.pth: is no weights file");
}

#[test]
fn the_wrong_kind_of_file_is_named() {
    let place = Place::new();
    let mut tar = vec![0; 512];
    tar[..4].copy_from_slice(b"name");
    tar[257..262].copy_from_slice(b"ustar");
    for (bytes, words) in [
        (&b""[..], "0 bytes"),
        (b"{}", "too short"),
        (b"\0\0\0\0\0\0\0\0", "damaged safetensors file"),
        (b"<!DOCTYPE html><html>", "a web page"),
        (b"version https://git-lfs.github.com/spec/v1\noid", "Git LFS"),
        (b"\x1f\x8b\x08\0\0\0\0\0\0\0", "gzip"),
        (b"\x89HDF\r\n\x1a\n\0\0\0\0", "HDF5"),
        (b"GGUF\x03\0\0\0\0\0\0\0", "GGUF"),
        (b"\x93NUMPY\x01\0v\0{'descr'", "NumPy"),
        (b"PK\x05\x06\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", "empty zip"),
        (b"PK\x07\x08\0\0\0\0\0\0\0\0", "in parts"),
        (b"\x7fELF\x02\x01\x01\0\0\0\0\0\0\0\0\0", "no weights file"),
        (b"{\"a\": 1, \"b\": [2]}", "without a weight_map"),
        (b"{\"weight_map\": {\"a\": 1}}", "does not parse"),
        (b"\x80\x02}q\0.and so on", "torch.save did not write"),
        (b"\x80\x09}q\0.and so on", "no weights file"),
        (&tar, "a tar archive"),
    ] {
        place.refused(&String::from_utf8_lossy(&bytes[..bytes.len().min(20)]), bytes, words);
    }
}

#[test]
fn zip_directories_that_lie_are_refused() {
    let place = Place::new();
    let pickle = files::state_dict(&[("a", 4)]);
    let base = || torch_entries(&pickle, &[&[5; 16]]);
    let bent = |change: &dyn Fn(&mut Vec<Entry>)| {
        let mut entries = base();
        change(&mut entries);
        zip(&entries)
    };
    // 0 is the pickle, 2 the storage.
    for (what, words, bytes) in [
        ("a storage longer than the file", "", bent(&|e| (e[2].size, e[2].packed) = (1 << 30, 1 << 30))),
        ("two sizes", "two sizes", bent(&|e| e[2].size = 1 << 30)),
        ("a short storage", "claims 4 elements", bent(&|e| (e[2].size, e[2].packed) = (8, 8))),
        ("zip64 sizes", "reaches beyond", bent(&|e| (e[2].size, e[2].packed, e[2].zip64) = (1 << 60, 1 << 60, true))),
        (
            "a zip64 overflow",
            "reaches beyond",
            bent(&|e| (e[2].size, e[2].packed, e[2].zip64) = (u64::MAX, u64::MAX, true)),
        ),
        ("a far header", "", bent(&|e| e[2].header = Some(1 << 20))),
        ("a far zip64 header", "", bent(&|e| (e[2].header, e[2].zip64) = (Some(u64::MAX - 7), true))),
        ("one header for two", "overlaps", bent(&|e| e[2].header = Some(0))),
        ("the same name twice", "twice", bent(&|e| e.push(e[2].clone()))),
        ("two pickles", "two archives", bent(&|e| e.push(Entry { name: b"other/data.pkl".to_vec(), ..e[0].clone() }))),
        ("no pickle", "without data.pkl", bent(&|e| drop(e.remove(0)))),
        ("a deep pickle", "without data.pkl", bent(&|e| e[0].name = b"a/b/data.pkl".to_vec())),
        ("no storage", "storage `0` is not in the file", bent(&|e| drop(e.remove(2)))),
        ("an encrypted entry", "encrypted", bent(&|e| e[2].flags = 1)),
        ("an unknown method", "not read", bent(&|e| e[2].method = 14)),
        ("a wrong checksum of the pickle", "checksum of data.pkl", bent(&|e| e[0].crc ^= 1)),
        ("big-endian", "big-endian", bent(&|e| e[1] = Entry::stored("archive/byteorder", b"big"))),
    ] {
        place.refused(what, &bytes, words);
    }
    place.unread("a wrong checksum", &bent(&|e| e[2].crc ^= 1), "checksum of storage `0`");
    // Local headers are not believed.
    place.taken("lies in a local header", &bent(&|e| (e[2].local_size, e[2].local_packed) = (1 << 30, 1 << 30)));
    place.taken("zip64 for no reason", &bent(&|e| e.iter_mut().for_each(|e| e.zip64 = true)));
    // Names that are no UTF-8, and that lead elsewhere, are names like others.
    let mut names = base();
    names.push(Entry { name: b"archive/\xff\xfe\x80".to_vec(), ..Entry::stored("", b"x") });
    names.push(Entry::stored("../../etc/passwd", b"x"));
    names.push(Entry::stored("archive/../../up", b"x"));
    names.push(Entry { name: vec![b'a'; 60_000], ..Entry::stored("", b"") });
    place.taken("wild names", &zip(&names));
    let latin: Vec<Entry> =
        base().into_iter().map(|e| Entry { name: [b"mod\xe8le/", &e.name[8..]].concat(), ..e }).collect();
    place.taken("a folder whose name is no UTF-8", &zip(&latin));
    // The end record: counts and places.
    let good = zip(&base());
    let end = good.len() - 22;
    for (entries, size, start) in [(4, 1, 1), (1, 400, 300), (9999, 400, 300), (4, u32::MAX, u32::MAX), (0, 0, 0)] {
        let bytes = [&good[..end], &files::end_record(entries, size, start)].concat();
        assert!(place.file(&bytes).listed.is_err(), "{entries} {size} {start}");
    }
}

#[test]
fn zip_archives_take_no_more_memory_or_time_than_they_may() {
    let place = Place::new();
    let one = files::state_dict(&[("a", 1 << 28)]);
    // A gigabyte of zeros in a megabyte: as a storage, as a pickle, as TorchScript code, as a text without an end.
    let (zeros, crc) = deflated_run(0, 1 << 30);
    let bomb = |name: &str| Entry::packed(name, zeros.clone(), 1 << 30, crc);
    let mut entries = torch_entries(&one, &[]);
    entries.push(bomb("archive/data/0"));
    place.unread("a storage that unpacks to a gigabyte", &zip(&entries), "would take 1073741824 bytes");
    entries[0] = Entry::stored("archive/data.pkl", &files::state_dict(&[("a", 4)]));
    place.unread("a small tensor in it", &zip(&entries), "more memory");
    place.refused("a pickle of a gigabyte", &zip(&[bomb("archive/data.pkl")]), "a packed data.pkl");
    let (half, crc) = deflated_run(b'N', 200 << 20);
    let packed = Entry::packed("archive/data.pkl", half, 200 << 20, crc);
    place.refused("a pickle of many constants", &zip(&[packed]), "more memory");
    for (byte, start, words) in [
        (b'a', &b"V"[..], "more memory"),
        (b'a', b"c", "endless"),
        (b'a', b"S", "more memory"),
        (b'1', b"I", "endless"),
    ] {
        let text = [&[0x80, 2][..], start, &vec![byte; 60 << 20]].concat();
        place.refused("an endless line", &zip(&[Entry::deflated("archive/data.pkl", &text)]), words);
    }
    let long =
        Pickle::new().raw(b"}(").bytes_as(b'X', &vec![0xff; 40 << 20]).tensor("0", 1, 0, &[1], &[1]).raw(b"u").end();
    let mut entries = torch_entries(&long, &[&[0; 4]]);
    place.refused("a long name that is no UTF-8", &zip(&entries), "a name of");
    entries[0] = Entry::deflated("archive/data.pkl", &long);
    assert!(place.file(&zip(&entries)).listed.is_err());
    let trailer = [files::state_dict(&[("a", 4)]), vec![0; 60 << 20]].concat();
    let mut entries = torch_entries(&[], &[&[0; 16]]);
    entries[0] = Entry::deflated("archive/data.pkl", &trailer);
    place.refused("what follows the pickle", &zip(&entries), "follow the end of its pickle");

    let script = |code: &[Vec<u8>]| {
        let mut entries = files::script_entries();
        for (i, code) in code.iter().enumerate() {
            entries.push(Entry::deflated(&format!("archive/code/__torch__/m{i}.py"), code));
        }
        zip(&entries)
    };
    place.taken("code that is no UTF-8", &script(&[vec![0xff; 15 << 20]]));
    let names = [b"class Net(Module):\n  __parameters__ = [".to_vec(), b"a,".repeat(4 << 20), b"]\n".to_vec()].concat();
    place.taken("the same name many times", &script(std::slice::from_ref(&names)));
    let many: Vec<u8> = (0..1_500_000).flat_map(|i| format!("{i:x},").into_bytes()).collect();
    let names = [b"class Net(Module):\n  __parameters__ = [".to_vec(), many, b"]\n".to_vec()].concat();
    place.refused("many names", &script(&[names]), "more memory");
    let code: Vec<Vec<u8>> = (0..6).map(|_| vec![b'\n'; 15 << 20]).collect();
    place.refused("much code", &script(&code), "more TorchScript code");

    // Two packed storages in turns, each of which must be unpacked again for each tensor.
    let numel = 5i128 << 20;
    let (packed, crc) = deflated_run(0, 20 << 20);
    let mut p = Pickle::new().raw(b"}(");
    for i in 0..2000i128 {
        p = p.text(&format!("t{i}")).tensor(&(i % 2).to_string(), numel, i, &[1], &[1]);
    }
    let mut entries = torch_entries(&p.raw(b"u").end(), &[]);
    entries.push(Entry::packed("archive/data/0", packed.clone(), 20 << 20, crc));
    entries.push(Entry::packed("archive/data/1", packed, 20 << 20, crc));
    place.unread("packed storages in turns", &zip(&entries), "take turns");
    // Many names, each of which is no UTF-8 and would triple.
    let mut entries = torch_entries(&files::state_dict(&[("a", 4)]), &[&[0; 16]]);
    for i in 0..600u16 {
        let name = [b"archive/", &[0xff; 50_000][..], &i.to_be_bytes()].concat();
        entries.push(Entry { name, ..Entry::stored("", b"") });
    }
    assert!(place.file(&zip(&entries)).listed.is_err());
}

#[test]
fn torch_tensors_that_lie_are_refused() {
    let place = Place::new();
    let max = i128::from(i64::MAX);
    let of = |numel: i128, offset: i128, sizes: &[i128], strides: &[i128]| {
        let p = Pickle::new().raw(b"}").text("a").tensor("0", numel, offset, sizes, strides).raw(b"s").end();
        [torch_zip(&p, &[&[9; 16]]), legacy(&p, &[("0", 4, &[9; 16])])]
    };
    let place_of = |what: &str, files: [Vec<u8>; 2]| {
        for bytes in files {
            assert!(place.file(&bytes).listed.is_err(), "{what}");
        }
    };
    for (numel, offset, sizes, strides) in [
        (5, 0, &[4][..], &[1][..]),
        (max, 0, &[4], &[1]),
        (i128::MAX, 0, &[4], &[1]),
        (-4, 0, &[4], &[1]),
        (4, 1, &[4], &[1]),
        (4, max, &[4], &[1]),
        (4, -1, &[4], &[1]),
        (4, 0, &[5], &[1]),
        (4, 0, &[-4], &[1]),
        (4, 0, &[4], &[-1]),
        (4, 0, &[max, max, max], &[0, 0, 0]),
        (4, 0, &[max, 0, max], &[0, 0, 0]),
        (4, 0, &[2], &[max]),
        (4, 0, &[max], &[max]),
        (4, 0, &[i128::MAX], &[1]),
        (4, 0, &[4], &[]),
        (4, 0, &[1; 65], &[1; 65]),
        (1 << 62, 0, &[4], &[1]),
    ] {
        place_of(&format!("{numel} {offset} {sizes:?} {strides:?}"), of(numel, offset, sizes, strides));
    }
    for nan in ["nan", "inf", "1e300"] {
        let p = Pickle::new()
            .raw(b"}")
            .text("a")
            .global("torch._utils", "_rebuild_tensor_v2")
            .raw(b"(")
            .storage("0", 4)
            .int(0)
            .raw(format!("(F{nan}\nt(K\x01t").as_bytes())
            .raw(b"\x89}tRs")
            .end();
        place.refused("a size that is no number", &torch_zip(&p, &[&[9; 16]]), "no numbers");
    }
    // A view that repeats its elements, and one that jumps to and fro in a large storage.
    for bytes in of(4, 0, &[1 << 26], &[0]) {
        place.unread("a view of 256 MiB", &bytes, "would take 268435456 bytes");
    }
    let numel = 4i128 << 20;
    let data = vec![0; 16 << 20];
    let wild =
        Pickle::new().raw(b"}").text("a").tensor("0", numel, 0, &[1000, 1000, 13], &[1025, 1026, 1027]).raw(b"s").end();
    place.unread("a view that jumps", &torch_zip(&wild, &[&data]), "too wild");
    let transposed = Pickle::new().raw(b"}").text("a").tensor("0", numel, 0, &[2048, 2048], &[1, 2048]).raw(b"s").end();
    place.taken("a transposed view", &torch_zip(&transposed, &[&data]));
    let columns = Pickle::new().raw(b"}").text("a").tensor("0", numel, 0, &[2048, 2], &[2048, 1]).raw(b"s").end();
    place.taken("two columns", &torch_zip(&columns, &[&data]));
}

#[test]
fn old_streams_that_lie_are_refused() {
    let place = Place::new();
    let pickle = files::state_dict(&[("a", 4), ("b", 2)]);
    let (a, b): (&[u8], &[u8]) = (&[1; 16], &[2; 8]);
    for (what, words, bytes) in [
        ("another count", "5 elements", legacy(&pickle, &[("0", 5, a), ("1", 2, b)])),
        ("a huge count", "elements", legacy(&pickle, &[("0", u64::MAX, a), ("1", 2, b)])),
        ("a storage twice", "twice", legacy(&pickle, &[("0", 4, a), ("0", 4, a), ("1", 2, b)])),
        ("a storage too many", "no tensor mentions", legacy(&pickle, &[("0", 4, a), ("1", 2, b), ("2", 2, b)])),
        ("a storage too few", "not in the file", legacy(&pickle, &[("0", 4, a)])),
        ("no storages", "not in the file", legacy(&pickle, &[])),
        ("short data", "ends", legacy(&pickle, &[("0", 4, a), ("1", 2, &b[..7])])),
    ] {
        place.refused(what, &bytes, words);
    }
    let huge = files::state_dict(&[("a", i128::from(u32::MAX) << 24)]);
    place.refused(
        "a huge claim on both sides",
        &legacy(&huge, &[("0", u64::from(u32::MAX) << 24, a)]),
        "ends in the middle",
    );
    let magic = &files::legacy_start()[..15];
    let big = Pickle::new().raw(b"}").text("little_endian").raw(&[0x89]).raw(b"s").end();
    place.refused("big-endian", &[magic, b"\x80\x02M\xe9\x03.", &big, &pickle].concat(), "big-endian");
    place.refused("another protocol", &[magic, b"\x80\x02K\x07.", &big, &pickle].concat(), "not known");
}

/// A pickle as a file of both kinds.
fn both(pickle: &[u8]) -> [Vec<u8>; 2] {
    [torch_zip(pickle, &[]), legacy(pickle, &[])]
}

#[test]
fn what_a_pickle_would_run_is_named_and_not_run() {
    let place = Place::new();
    let proof = place.at("proof");
    let command = format!("touch {}", proof.display());
    for (module, name) in [
        ("os", "system"),
        ("posix", "system"),
        ("nt", "system"),
        ("builtins", "eval"),
        ("builtins", "exec"),
        ("__builtin__", "eval"),
        ("subprocess", "Popen"),
        ("builtins", "getattr"),
        ("torch", "load"),
        ("torch.hub", "load"),
        ("torch.storage", "_load_from_bytes"),
        ("numpy.testing._private.utils", "runstring"),
    ] {
        let calls = [
            Pickle::new().global(module, name).text(&command).raw(b"\x85R"),
            Pickle::new().raw(b"(").global(module, name).text(&command).raw(b"o"),
            Pickle::new().raw(b"(").text(&command).raw(format!("i{module}\n{name}\n").as_bytes()),
            Pickle::new().text(module).text(name).raw(b"\x93").text(&command).raw(b"\x85\x81"),
            Pickle::new().global(module, name).text(&command).raw(b"\x85}\x92"),
            Pickle::new().global(module, name).raw(b")R}").text("cmd").text(&command).raw(b"sb"),
            Pickle::new().global("copyreg", "_reconstructor").raw(b"(").global(module, name).text(&command).raw(b"NtR"),
        ];
        for call in calls {
            // Alone it holds no tensors.
            for bytes in both(&call.clone().end()) {
                place.refused(
                    name,
                    &bytes,
                    &format!("holds no tensors that could be a model's (it holds a `{module}.{name}`)"),
                );
            }
            // Beside tensors it is a placeholder.
            let dict = Pickle::new()
                .raw(b"}(")
                .text("a")
                .tensor("0", 4, 0, &[4], &[1])
                .text("x")
                .raw(&call.0[2..])
                .raw(b"u")
                .end();
            let listing = place.taken(name, &torch_zip(&dict, &[&[0; 16]]));
            assert_eq!(
                (listing.placeholders.as_slice(), listing.tensors.len()),
                (&[format!("{module}.{name}")][..], 1)
            );
        }
    }
    assert!(!proof.exists());
    // Ways to name what is not written in the file.
    for (op, words) in [
        (&b"\x82\x01"[..], "extension registry"),
        (b"\x84\x01\0\0\0", "extension registry"),
        (b"Pos.system\n", "persistent ids"),
        (b"\x97", "buffers"),
    ] {
        for bytes in both(&Pickle::new().raw(op).end()) {
            place.refused("a back door", &bytes, words);
        }
    }
    for bytes in both(
        &Pickle::new().raw(b"(").text("storage").global("os", "system").text("0").text("cpu").int(4).raw(b"tQ").end(),
    ) {
        place.refused("a storage of a foreign class", &bytes, "`os.system`");
    }
}

#[test]
fn pickles_that_are_wrong_are_refused() {
    let place = Place::new();
    for (what, ops, words) in [
        ("nothing on the stack", &b""[..], "operands"),
        ("a mark without end", b"(", "operands"),
        ("an end without a mark", b"t", "mark"),
        ("a dict with half a pair", b"(Nd", "key without a value"),
        ("items for a number", b"K\x01NNs", "no dict"),
        ("items for a text", b"U\x01aNa", "no list"),
        ("a memo that is not there", b"h\x05", "never remembered"),
        ("a long memo that is not there", b"j\xff\xff\xff\xff", "never remembered"),
        ("an unknown opcode", b"\xfe", "no opcode"),
        ("protocol 200", b"\x80\xc8", "protocol 200"),
        ("a text longer than the file", b"X\xff\xff\xff\x7f", "claims a text"),
        ("a text of 2^63 bytes", b"\x8d\0\0\0\0\0\0\0\x80", "claims a text"),
        ("bytes of 2^64 - 1", b"\x8e\xff\xff\xff\xff\xff\xff\xff\xff", "claims a text"),
        ("a long of 4 GiB", b"\x8b\xff\xff\xff\xff", "claims a text"),
        ("a call of nothing", b"R", "operands"),
        ("a state for nothing", b"Nb", "operands"),
        ("a frame that lies", b"\x95\xff\xff\xff\xff\xff\xff\xff\xff", "operands"),
        ("a class whose name is a number", b"K\x01K\x02\x93", "no text"),
        ("a text without quotes", b"Sabc\n", "quotes"),
        ("a number that is none", b"Iabc\n", "no number"),
        ("a float that is none", b"Fabc\n", "no number"),
        ("a huge memo number", b"Np99999999999\n", "memo"),
    ] {
        for bytes in both(&Pickle::new().raw(ops).end()) {
            place.refused(what, &bytes, words);
        }
    }
}

#[test]
fn pickles_take_no_more_memory_or_time_than_they_may() {
    let place = Place::new();
    let refused = |what: &str, pickle: Vec<u8>, words: &str| {
        for bytes in both(&pickle) {
            place.refused(what, &bytes, words);
        }
    };
    let many = |n: usize, ops: &[u8]| Pickle::new().raw(&ops.repeat(n));
    // Each of a few bytes that cost more than themselves.
    for (what, ops) in [
        ("constants", &b"N"[..]),
        ("marks", b"("),
        ("lists", b"]"),
        ("dicts", b"}"),
        ("empty tuples", b")"),
        ("numbers", b"J\0\x01\x01\x01"),
        ("floats", b"G\0\0\0\0\0\0\0\0"),
        ("texts", b"U\0"),
        ("classes", b"ca\nb\n"),
        ("pairs of nothing", b"NN\x86"),
    ] {
        place.refused(what, &torch_zip(&many(if ops == b"N" { 9 << 20 } else { 3 << 20 }, ops).end(), &[]), "");
    }
    refused("DUP", Pickle::new().raw(b"N").raw(&vec![b'2'; 9 << 20]).end(), "");
    refused(
        "a memo of millions",
        (0..3_000_000u32).fold(Pickle::new().raw(b"N"), |p, n| p.raw(b"r").raw(&n.to_le_bytes())).end(),
        "more memory",
    );
    refused("MEMOIZE", Pickle::new().raw(b"N").raw(&vec![0x94; 5 << 20]).end(), "more memory");
    // Nesting: deep, and doubled at each level (2^60 leaves).
    refused("nested lists", many(100_000, b"]").raw(&b"a".repeat(99_999)).end(), "holds no tensors");
    refused("nested tuples", Pickle::new().raw(b"N").raw(&vec![0x85; 200_000]).end(), "");
    let laughs = |start: &[u8], step: &[u8], tensor: bool| {
        let p = Pickle::new().raw(b"}").text("x");
        let p = if tensor { p.raw(b"}").text("w").tensor("0", 4, 0, &[4], &[1]).raw(b"s") } else { p.raw(start) };
        p.raw(&step.repeat(60)).raw(b"s").end()
    };
    refused("tuples of themselves", laughs(b"N", b"2\x86", false), "holds no tensors");
    for step in [&b"2\x86"[..], b"q\x010](h\x01h\x01e", b"q\x010}(U\x01ah\x01U\x01bh\x01u"] {
        place.refused("a tensor in 2^60 places", &torch_zip(&laughs(b"", step, true), &[&[0; 16]]), "more memory");
    }
    // A list that holds itself.
    refused("a cycle", Pickle::new().raw(b"]q\0h\0a").end(), "holds no tensors");
    let deep = Pickle::new()
        .raw(b"}")
        .text("w")
        .tensor("0", 4, 0, &[4], &[1])
        .raw(b"s")
        .raw(&b"q\x01}U\x01ah\x01s".repeat(5000))
        .end();
    place.refused("a tensor 5000 deep", &torch_zip(&deep, &[&[0; 16]]), "");
}

#[test]
fn what_is_shared_many_times_is_not_looked_at_for_ever() {
    let place = Place::new();
    let n = 300_000;
    let refused = |what: &str, pickle: Vec<u8>| {
        place.refused(what, &torch_zip(&pickle, &[&[0; 16]]), "");
    };
    // A persistent id and arguments of hundreds of thousands of values, named again and again.
    let id = Pickle::new()
        .raw(b"(")
        .text("storage")
        .global("torch", "FloatStorage")
        .text("0")
        .text("cpu")
        .int(4)
        .raw(&vec![b'N'; n])
        .raw(b"tq\x05");
    refused("persistent ids", id.raw(&b"h\x05Q0".repeat(n)).end());
    let args =
        Pickle::new().global("torch._utils", "_rebuild_tensor_v2").raw(b"q\x01(").raw(&vec![b'N'; n]).raw(b"tq\x05");
    refused("arguments", args.raw(&b"h\x01h\x05R0".repeat(n)).end());
    let pairs = Pickle::new().global("collections", "OrderedDict").raw(b"q\x01(](").raw(&vec![b'N'; n]).raw(b"etq\x05");
    refused("dicts of nothing", pairs.raw(&b"h\x01h\x05R0".repeat(n)).end());
    // An object with many attributes and a tensor, in many places.
    let mut p = Pickle::new().global("a", "B").raw(b")\x81}(").text("w").tensor("0", 4, 0, &[4], &[1]);
    p = p.raw(&b"U\x01xN".repeat(n)).raw(b"ubq\x05](").raw(&b"h\x05".repeat(n)).raw(b"e");
    refused("one object in many places", p.end());
    // A long name, in each prefix of a deep nesting; and as the place of a state dict.
    let name = "n".repeat(1 << 20);
    let mut p = Pickle::new().text(&name).raw(b"q\x01}").text("w").tensor("0", 4, 0, &[4], &[1]).raw(b"s");
    for _ in 0..150 {
        p = p.raw(b"q\x02}h\x01h\x02s");
    }
    refused("a long name many times", p.end());
    let name = "n".repeat(4000);
    let mut p = Pickle::new()
        .text(&name)
        .raw(b"q\x01}(")
        .text("w")
        .tensor("0", 4, 0, &[4], &[1])
        .text("v")
        .tensor("0", 4, 0, &[4], &[1])
        .raw(b"u");
    for _ in 0..190 {
        p = p.raw(b"q\x02}(h\x01h\x02").text("v").tensor("0", 4, 0, &[4], &[1]).raw(b"u");
    }
    place.file(&torch_zip(&p.end(), &[&[0; 16]]));
    // A module whose set of passing buffers has one long name very often.
    let p = Pickle::new().text(&"b".repeat(1 << 20)).raw(b"q\x01").global("a", "M").raw(b")\x81}(");
    let p = p.text("_parameters").raw(b"}").text("w").tensor("0", 4, 0, &[4], &[1]).raw(b"s");
    let p = p.text("_non_persistent_buffers_set").raw(b"](").raw(&b"h\x01".repeat(n)).raw(b"e").raw(b"ub");
    assert!(place.file(&torch_zip(&p.end(), &[&[0; 16]])).listed.is_ok());
    // A TorchScript class with many attributes, most of which are no parameters.
    let names: Vec<String> = (0..60_000).map(|i| format!("p{i}")).collect();
    let mut p =
        Pickle::new().global("__torch__", "Net").raw(b")\x81}(").text("w").tensor("0", 4, 0, &[4], &[1]).raw(b"q\x07");
    for name in &names {
        p = p.text(name).raw(b"h\x07");
    }
    let mut entries = files::script_entries();
    entries[0] = Entry::stored("archive/data.pkl", &p.raw(b"ub").end());
    entries.retain(|e| !e.name.ends_with(b".py"));
    let list: String = names.iter().map(|n| format!("\"q{n}\", ")).collect();
    entries.push(Entry::stored(
        "archive/code/__torch__.py",
        format!("class Net(Module):\n  __parameters__ = [{list}]\n").as_bytes(),
    ));
    place.file(&zip(&entries));
}

#[test]
fn indices_that_lie_are_refused() {
    let place = Place::new();
    let index = place.at("model.safetensors.index.json");
    let shard = |name: &str| std::fs::write(place.at(name), files::small_safetensors()).unwrap();
    shard("a.safetensors");
    shard("b.safetensors");
    let refused = |what: &str, json: &str, words: &str| {
        std::fs::write(&index, json).unwrap();
        match attempt(&index, json.len() as u64 + 1000).listed {
            Err(error) => assert!(error.contains(words), "{what}: {error}"),
            Ok(_) => panic!("{what} was listed"),
        }
    };
    let map = |file: &str| format!(r#"{{"metadata":{{}},"weight_map":{{"fc.weight":{file}}}}}"#);
    for outside in [
        "../../etc/passwd",
        "/etc/passwd",
        "..",
        ".",
        "",
        "sub/a.safetensors",
        "./a.safetensors",
        "a.safetensors/",
        "..\\a",
        "a\\u0000b",
        "a\\nb/c",
    ] {
        refused(outside, &map(&format!("\"{outside}\"")), "");
    }
    refused("a missing shard", &map("\"none.safetensors\""), "none.safetensors: cannot read");
    refused("a missing shard with a wild name", &map("\"no\\n\\u001b[2Jne\""), "no??[2Jne: cannot read");
    refused("itself", &map("\"model.safetensors.index.json\""), "is an index itself");
    refused("no text", &map("7"), "does not parse");
    refused("no map", r#"{"metadata":{}}"#, "without a weight_map");
    refused("an empty map", r#"{"weight_map":{}}"#, "is empty");
    refused(
        "a tensor twice",
        r#"{"weight_map":{"fc.bias":"a.safetensors","fc.bias":"a.safetensors"}}"#,
        "listed twice",
    );
    refused("a tensor that is not there", r#"{"weight_map":{"x":"a.safetensors"}}"#, "lacks tensor `x`");
    refused("deep nesting", &format!(r#"{{"metadata":{}"#, "[".repeat(200_000)), "does not parse");
    for cut in 1..60 {
        let whole = map("\"a.safetensors\"");
        refused("cut off", &whole[..whole.len() - cut.min(whole.len() - 9)], "");
    }
    // One file under two names.
    std::os::unix::fs::symlink(place.at("a.safetensors"), place.at("link.safetensors")).unwrap();
    std::fs::hard_link(place.at("a.safetensors"), place.at("hard.safetensors")).unwrap();
    for other in ["link", "hard"] {
        refused(
            other,
            &format!(r#"{{"weight_map":{{"fc.weight":"a.safetensors","fc.bias":"{other}.safetensors"}}}}"#),
            "one file twice",
        );
    }
    // Shards that are no files.
    let fifo = place.at("fifo");
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, rustix::fs::Mode::from_raw_mode(0o600), 0)
        .unwrap();
    std::fs::create_dir(place.at("folder")).unwrap();
    std::os::unix::fs::symlink("/dev/zero", place.at("zero")).unwrap();
    std::os::unix::fs::symlink(place.at("loop"), place.at("loop")).unwrap();
    for (name, words) in
        [("fifo", "is a pipe"), ("folder", "is a folder"), ("zero", "is a pipe or device"), ("loop", "cannot read")]
    {
        refused(name, &map(&format!("\"{name}\"")), words);
    }
    // Long texts and many entries.
    refused("a long name", &map(&format!("\"{}\"", "x".repeat(40 << 20))), "");
    refused("a long escaped name", &map(&format!("\"{}\"", "\\u0041".repeat(10 << 20))), "");
    refused("a long key", &format!(r#"{{"{}":1}}"#, "\\u0041".repeat(10 << 20)), "");
    let many: Vec<String> = (0..1_000_000).map(|i| format!("\"{i:x}\":\"a\"")).collect();
    refused("many entries", &format!(r#"{{"weight_map":{{{}}}}}"#, many.join(",")), "");
    // Two shards that are whole.
    std::fs::write(&index, r#"{"weight_map":{"fc.weight":"a.safetensors","fc.bias":"b.safetensors"}}"#).unwrap();
    let outcome = attempt(&index, 1000);
    assert_eq!((outcome.listed.unwrap().tensors.len(), outcome.read.unwrap()), (2, 32));
}

/// A checkpoint's folder with these files, and checksums that are right. Returns the bytes of all.
fn write_checkpoint(folder: &Path, weights: &[u8], optimizer: &[u8]) -> u64 {
    let mut state = TrainState { step: 3, ..TrainState::default() };
    for (name, bytes) in [(WEIGHTS, weights), (OPTIMIZER, optimizer)] {
        std::fs::write(folder.join(name), bytes).unwrap();
        let sum = FileSum { bytes: bytes.len() as u64, blake3: blake3::hash(bytes).to_hex().to_string() };
        state.files.insert(name.to_owned(), sum);
    }
    let mut json = serde_json::to_vec_pretty(&state).unwrap();
    json.truncate(json.len() - 2);
    let end = [",\n  \"blake3\": \"", blake3::hash(&json).to_hex().as_str(), "\"\n}\n"].concat();
    json.extend(end.into_bytes());
    std::fs::write(folder.join(STATE), &json).unwrap();
    (weights.len() + optimizer.len() + json.len()) as u64
}

#[test]
fn checkpoints_that_lie_are_refused() {
    let place = Place::new();
    let folder = place.at("step-00000003");
    std::fs::create_dir(&folder).unwrap();
    let good = files::small_safetensors();
    let size = write_checkpoint(&folder, &good, &good);
    assert_eq!(attempt(&folder, size).read, Ok(32));
    let refused = |what: &str| assert!(attempt(&folder, size).read.is_err(), "{what}");
    for (name, step) in [(STATE, 5), (WEIGHTS, 1), (OPTIMIZER, 1)] {
        let whole = std::fs::read(folder.join(name)).unwrap();
        for length in (0..whole.len()).step_by(step) {
            std::fs::write(folder.join(name), &whole[..length]).unwrap();
            refused(&format!("{name} cut off at {length}"));
        }
        for at in (0..whole.len()).step_by(step) {
            let mut bent = whole.clone();
            bent[at] ^= 4;
            std::fs::write(folder.join(name), &bent).unwrap();
            refused(&format!("{name} changed at {at}"));
        }
        std::fs::remove_file(folder.join(name)).unwrap();
        rustix::fs::mknodat(
            rustix::fs::CWD,
            folder.join(name),
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::from_raw_mode(0o600),
            0,
        )
        .unwrap();
        // Without its state it is a folder with weights.
        let judge = |what: String| match attempt(&folder, size).read {
            Ok(read) => assert!(name == STATE && read == 32, "{what}"),
            Err(_) => assert!(name != STATE, "{what}"),
        };
        judge(format!("{name} is a pipe"));
        std::fs::remove_file(folder.join(name)).unwrap();
        judge(format!("{name} is gone"));
        std::fs::write(folder.join(name), whole).unwrap();
    }
    // Checksums that are right, over tensors that lie.
    let lie = |header: &str, data: usize| safetensors(header, &vec![0; data]);
    for bytes in [
        [&(1u64 << 40).to_le_bytes()[..], b"{}"].concat(),
        lie(r#"{"a":{"dtype":"F32","shape":[1099511627776],"data_offsets":[0,4398046511104]}}"#, 8),
        lie(
            r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},"b":{"dtype":"U8","shape":[4],"data_offsets":[2,6]}}"#,
            6,
        ),
        lie(r#"{"a":{"dtype":"U8","shape":[4],"data_offsets":[1,5]}}"#, 5),
    ] {
        let size = write_checkpoint(&folder, &bytes, &good);
        assert!(attempt(&folder, size).listed.is_err());
        let size = write_checkpoint(&folder, &good, &bytes);
        assert!(attempt(&folder, size).read.is_err());
    }
}
