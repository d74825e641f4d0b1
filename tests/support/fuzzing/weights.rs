//! Readers of weights.

use std::path::Path;

use frostline::core::checkpoint;
use frostline::core::tensor::DType;
use frostline::core::tree::Tree;
use frostline::core::weights::{self, StateDict, WeightsError};

use super::files;

pub fn pair() -> Vec<u8> {
    files::state_dict(&[("a.weight", 4), ("a.bias", 2)])
}

fn judge(read: Result<StateDict, WeightsError>) -> usize {
    match read {
        Ok(state) => {
            for t in &state.tensors {
                assert_eq!(t.shape.iter().product::<usize>() * t.dtype.size(), t.data.len(), "{}", t.name);
            }
            let listed = state
                .listing
                .tensors
                .iter()
                .filter_map(|t| Some((t.name.as_str(), &t.shape[..], DType::of_name(t.dtype)?)));
            super::run::look_at(Tree::from_tensors(listed));
            state.tensors.len()
        }
        Err(e) => {
            let words = e.to_string();
            assert!(!words.contains(|c: char| c.is_control()) && words.starts_with("bytes"), "{words:?}");
            0
        }
    }
}

/// Read as that kind of file, whatever the first bytes were.
fn read_as(start: &[u8], at: usize, data: &[u8]) -> usize {
    let mut bytes = data.to_vec();
    bytes.resize(bytes.len().max(at + start.len()), 0);
    bytes[at..at + start.len()].copy_from_slice(start);
    judge(weights::read_bytes("bytes", bytes, None))
}

pub fn safetensors(data: &[u8]) -> usize {
    read_as(b"{", 8, data)
}

/// The index alone: of the files beside it there are none.
pub fn index(data: &[u8]) -> usize {
    let mut bytes = data.to_vec();
    // Not where a safetensors header would begin.
    if bytes.get(8) == Some(&b'{') {
        bytes[8] = b' ';
    }
    read_as(b"{", 0, &bytes)
}

pub fn zip(data: &[u8]) -> usize {
    read_as(b"PK\x03\x04", 0, data)
}

pub fn legacy(data: &[u8]) -> usize {
    read_as(b"\x80\x02", 0, data)
}

/// The machine alone: the pickle of an old file, whose storages are not there.
pub fn pickle(data: &[u8]) -> usize {
    judge(weights::read_bytes("bytes", [files::legacy_start().as_slice(), data].concat(), None))
}

/// The pickle of a TorchScript archive, with checksums that are right.
pub fn script(data: &[u8]) -> usize {
    let mut entries = files::script_entries();
    entries[0] = files::Entry::stored("archive/data.pkl", data);
    judge(weights::read_bytes("bytes", files::zip(&entries), None))
}

/// The `state.json` of a checkpoint, with a checksum that is right, beside tensors that are whole.
pub fn manifest(data: &[u8]) -> usize {
    let folder = tempfile::tempdir().unwrap();
    manifest_in(folder.path(), data)
}

fn manifest_in(folder: &Path, data: &[u8]) -> usize {
    for file in [checkpoint::WEIGHTS, checkpoint::OPTIMIZER] {
        std::fs::write(folder.join(file), files::small_safetensors()).unwrap();
    }
    let end = [",\n  \"blake3\": \"", blake3::hash(data).to_hex().as_str(), "\"\n}\n"].concat();
    std::fs::write(folder.join(checkpoint::STATE), [data, end.as_bytes()].concat()).unwrap();
    match checkpoint::load_path(folder) {
        Ok(loaded) => {
            // What a resume asks of it first.
            [0, 7, u64::MAX].into_iter().for_each(|step| {
                let _ = loaded.state.lr_schedule.factor(step);
            });
            loaded.weights.len() + loaded.optimizer.len()
        }
        Err(e) => {
            assert!(!e.to_string().contains('\n'), "{e:?}");
            0
        }
    }
}

/// What a checkpoint's `state.json` has before its own checksum.
pub fn manifest_seed() -> Vec<u8> {
    let bytes = files::small_safetensors();
    let sum = checkpoint::FileSum { bytes: bytes.len() as u64, blake3: blake3::hash(&bytes).to_hex().to_string() };
    let mut state = checkpoint::TrainState { step: 7, ..checkpoint::TrainState::default() };
    state.files.insert(checkpoint::WEIGHTS.into(), sum.clone());
    state.files.insert(checkpoint::OPTIMIZER.into(), sum);
    let mut json = serde_json::to_vec_pretty(&state).unwrap();
    json.truncate(json.len() - 2);
    json
}
