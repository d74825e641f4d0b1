//! One entry a reader for bytes that are no file yet: what the fuzz targets in `fuzz/` and the smoke test call. Each returns how much it
//! found (tensors, records, lines); whatever the bytes, an entry must neither panic nor hang, and what it refuses it refuses in words.

#![allow(dead_code, missing_docs, reason = "each target uses one of them")]

#[path = "fuzzing/data.rs"]
pub mod data;
#[path = "files.rs"]
pub mod files;
#[path = "fuzzing/run.rs"]
pub mod run;
#[path = "fuzzing/text.rs"]
pub mod text;
#[path = "fuzzing/weights.rs"]
pub mod weights;

/// An entry, and seeds for it.
pub type Reader = (&'static str, fn(&[u8]) -> usize, fn() -> Vec<Vec<u8>>);

pub const READERS: [Reader; 14] = [
    ("safetensors", weights::safetensors, || vec![files::small_safetensors()]),
    ("index", weights::index, || {
        vec![br#"{"metadata":{"total_size":8},"weight_map":{"a":"x.bin","b":"x.bin","c":"y.bin"}}"#.to_vec()]
    }),
    ("zip", weights::zip, || {
        vec![files::torch_zip(&weights::pair(), &[&[1; 16], &[2; 8]]), files::zip(&files::script_entries())]
    }),
    ("legacy", weights::legacy, || vec![files::legacy(&weights::pair(), &[("0", 4, &[1; 16]), ("1", 2, &[2; 8])])]),
    ("pickle", weights::pickle, || vec![weights::pair(), files::script_entries()[0].bytes.clone()]),
    ("script", weights::script, || vec![files::script_entries()[0].bytes.clone()]),
    ("manifest", weights::manifest, || vec![weights::manifest_seed()]),
    ("metrics", run::metrics, run::metrics_seeds),
    ("events", run::events, run::events_seeds),
    ("control", run::control, run::control_seeds),
    ("recipe", text::recipe, text::recipe_seeds),
    ("text", text::text, text::text_seeds),
    ("npz", data::npz, data::npz_seeds),
    ("image", data::image, data::image_seeds),
];
