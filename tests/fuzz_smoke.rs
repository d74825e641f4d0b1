//! The fuzz targets' entries over seeds that are changed at random, the same way each time: no panic, no hang, refusals in one line.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/fuzzing.rs"]
mod fuzzing;

use fuzzing::{READERS, Reader};
use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// Changed files for each reader.
const ROUNDS: usize = 2000;
/// Changes to a file, at most.
const CHANGES: usize = 6;

/// Numbers that programs trip over.
const EDGES: [u64; 12] =
    [0, 1, 0x7f, 0x80, 0xff, 0x7fff, 0xffff, 0x7fff_ffff, 0xffff_ffff, 1 << 40, i64::MAX as u64, u64::MAX];
/// Opcodes, marks of zip records, JSON's signs.
const WORDS: [&[u8]; 16] = [
    b"(",
    b"t",
    b"R",
    b"h\x00",
    b"q\x00",
    b"2",
    b"u.",
    b"PK\x01\x02",
    b"PK\x05\x06",
    b"PK\x06\x06",
    b"[",
    b"{",
    b"}",
    b"\"",
    b"-1",
    b"1e999",
];

fn change(rng: &mut ChaCha8Rng, bytes: &mut Vec<u8>, other: &[u8]) {
    if bytes.is_empty() {
        bytes.push(rng.random());
    }
    let at = rng.random_range(0..bytes.len());
    let edge = EDGES[rng.random_range(0..EDGES.len())].to_le_bytes();
    match rng.random_range(0..10) {
        0 | 1 => bytes[at] ^= 1 << rng.random_range(0..8),
        2 => bytes[at] = rng.random(),
        3 | 4 => {
            let width = [1, 2, 4, 8][rng.random_range(0..4)].min(bytes.len() - at);
            bytes[at..at + width].copy_from_slice(&edge[..width]);
        }
        5 => {
            let word = WORDS[rng.random_range(0..WORDS.len())];
            bytes.splice(at..at, word.iter().copied());
        }
        6 => {
            let end = (at + rng.random_range(1..20)).min(bytes.len());
            bytes.drain(at..end);
        }
        7 => {
            let end = (at + rng.random_range(1..60)).min(bytes.len());
            let piece = bytes[at..end].to_vec();
            let to = rng.random_range(0..=bytes.len());
            bytes.splice(to..to, piece);
        }
        8 => {
            let from = rng.random_range(0..other.len());
            let end = (from + rng.random_range(1..60)).min(other.len());
            let stop = (at + end - from).min(bytes.len());
            bytes.splice(at..stop, other[from..end].iter().copied());
        }
        _ => bytes.truncate(at),
    }
}

#[test]
fn seeds_are_read_and_changed_seeds_do_no_harm() {
    let mut reports = Vec::new();
    for (number, (name, read, seeds)) in READERS.into_iter().enumerate() {
        let seeds = seeds();
        let mut rng = ChaCha8Rng::seed_from_u64(number as u64);
        // The index and the machine find nothing beside them.
        let odd = |seed: &&Vec<u8>| (read(seed) > 0) == matches!(name, "index" | "pickle");
        let odd: Vec<_> = seeds.iter().filter(odd).map(|seed| String::from_utf8_lossy(seed)).collect();
        assert!(odd.is_empty(), "{name}: {odd:?}");
        let mut taken = 0;
        for _ in 0..ROUNDS {
            let mut bytes = seeds[rng.random_range(0..seeds.len())].clone();
            let other = &seeds[rng.random_range(0..seeds.len())];
            (0..rng.random_range(1..=CHANGES)).for_each(|_| change(&mut rng, &mut bytes, other));
            taken += usize::from(read(&bytes) > 0);
        }
        reports.push(format!("{name}: {taken} of {ROUNDS} were still read"));
    }
    println!("{}", reports.join("\n"));
}

/// Writes the seeds for cargo-fuzz: `cargo test --test fuzz_smoke -- --ignored`.
#[test]
#[ignore = "writes fuzz/corpus"]
fn write_seeds() {
    let corpus = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
    for (name, _, seeds) in READERS as [Reader; 14] {
        let folder = corpus.join(name);
        std::fs::create_dir_all(&folder).unwrap();
        for (i, seed) in seeds().iter().enumerate() {
            std::fs::write(folder.join(format!("seed-{i}")), seed).unwrap();
        }
    }
}
