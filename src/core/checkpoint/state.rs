//! `state.json`: everything of a training state that is not a tensor, and the size and checksum of each other file.
//!
//! The file's last member is the checksum of all bytes before it, so that a flipped byte is found in this file too.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::core::event::Metrics;
use crate::core::lr::{EarlyStopping, LrSchedule};
use crate::core::recipe::{LrScheduleSpec, Mode, Recipe};
use crate::core::shown::json_words;

/// Newest format that this program writes and reads.
pub const FORMAT: u32 = 1;

/// A training state without its tensors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrainState {
    /// Format of the checkpoint.
    pub format: u32,
    /// Optimizer steps done.
    pub step: u64,
    /// Epoch in progress, from 0.
    pub epoch: u64,
    /// Optimizer steps done in that epoch.
    pub step_in_epoch: u64,
    /// Training samples seen, repeats included.
    pub samples_seen: u64,
    /// The run's seed; with step and epoch it fixes all randomness.
    pub seed: u64,
    /// Base learning rate in force.
    pub base_lr: f64,
    /// The schedule with its state.
    pub lr_schedule: LrSchedule,
    /// Early stopping with its state, where the recipe asks for it.
    pub early_stopping: Option<EarlyStopping>,
    /// All freeze rules in force, in order.
    pub freeze_rules: Vec<String>,
    /// The newest metrics (`train/loss`, `val/loss`…).
    #[serde(with = "crate::core::event::metrics_json")]
    pub metrics: Metrics,
    /// Best value of the monitored metric so far.
    pub best: Option<f64>,
    /// Step of the best value.
    pub best_step: Option<u64>,
    /// The engine's own (loss scale…).
    pub extra: serde_json::Map<String, serde_json::Value>,
    /// What the data was.
    pub data: DataState,
    /// Versions of the programs that wrote it (`frostline`, `libtorch`…).
    pub versions: BTreeMap<String, String>,
    /// Why it was written (`every_steps`, `end`, `stop`, `save`…).
    pub reason: String,
    /// When, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Which of those that were due by the recipe's `every_*` keys it is, from 1; 0 for others.
    #[serde(default)]
    pub nth: u64,
    /// Step of an older checkpoint that the run goes back to after this one: the best of the freeze schedule's phase.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub needs: Option<u64>,
    /// BLAKE3 of each tensor at step 0, for the audit.
    pub initial_hashes: BTreeMap<String, String>,
    /// The recipe in force.
    pub recipe: Recipe,
    /// Size and checksum of each other file; filled in by the store.
    #[serde(default)]
    pub files: BTreeMap<String, FileSum>,
}

impl Default for TrainState {
    fn default() -> Self {
        Self {
            format: FORMAT,
            step: 0,
            epoch: 0,
            step_in_epoch: 0,
            samples_seen: 0,
            seed: 0,
            base_lr: 0.0,
            lr_schedule: LrSchedule::new(&LrScheduleSpec::default(), 0, 1, Mode::Min),
            early_stopping: None,
            freeze_rules: Vec::new(),
            metrics: Metrics::new(),
            best: None,
            best_step: None,
            extra: serde_json::Map::new(),
            data: DataState::default(),
            versions: BTreeMap::new(),
            reason: String::new(),
            time_ms: 0,
            nth: 0,
            needs: None,
            initial_hashes: BTreeMap::new(),
            recipe: Recipe::default(),
            files: BTreeMap::new(),
        }
    }
}

/// What a checkpoint keeps about the data, for resume, evaluation and prediction.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct DataState {
    /// Fingerprint of the training data.
    pub fingerprint: String,
    /// Names of the classes, in the order of the outputs; empty for regression.
    pub class_names: Vec<String>,
    /// How a sample is prepared for the model.
    pub preprocessing: serde_json::Value,
    /// Shape of one sample, `[C, H, W]` or `[F…]`.
    #[serde(default)]
    pub sample_shape: Vec<usize>,
    /// Outputs of the model.
    #[serde(default)]
    pub outputs: usize,
}

/// Size and checksum of a file.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileSum {
    /// Size in bytes.
    pub bytes: u64,
    /// BLAKE3 in lower-case hexadecimal.
    pub blake3: String,
}

/// Why the bytes of a `state.json` were not taken.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum BadState {
    /// Its bytes are not those that were written.
    Damaged(String),
    /// A format from the future.
    Newer(u32),
}

/// What precedes the checksum in the last line but one.
const MARK: &str = ",\n  \"blake3\": \"";
/// What follows it.
const END: &str = "\"\n}\n";
/// Hexadecimal digits of a checksum.
const HEX: usize = 64;

/// The file's bytes.
pub(super) fn encode(state: &TrainState) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = serde_json::to_vec_pretty(state)?;
    // An object that ends in "\n}": the checksum takes the place of its end.
    bytes.truncate(bytes.len().saturating_sub(2));
    let sum = blake3::hash(&bytes).to_hex();
    bytes.extend([MARK, sum.as_str(), END].concat().into_bytes());
    Ok(bytes)
}

/// Checks and reads the file's bytes.
pub(super) fn decode(bytes: &[u8]) -> Result<TrainState, BadState> {
    let damaged = |words: &str| BadState::Damaged(words.to_owned());
    let tail = MARK.len() + HEX + END.len();
    let body = bytes.len().checked_sub(tail).ok_or_else(|| damaged("it is too short"))?;
    let (body, tail) = bytes.split_at(body);
    let expected = [MARK, blake3::hash(body).to_hex().as_str(), END].concat();
    if tail != expected.as_bytes() {
        return Err(damaged("its checksum does not match"));
    }
    // Only the format is read first: the rest may have changed.
    #[derive(Deserialize)]
    struct Format {
        format: u32,
    }
    let json = |e: serde_json::Error| BadState::Damaged(json_words(&e));
    let format = serde_json::from_slice::<Format>(bytes).map_err(json)?.format;
    if format > FORMAT {
        return Err(BadState::Newer(format));
    }
    serde_json::from_slice(bytes).map_err(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn state() -> TrainState {
        TrainState {
            step: 120,
            base_lr: 0.1 + 0.2,
            metrics: Metrics::from([("val/loss".to_owned(), 1.0 / 3.0)]),
            freeze_rules: vec!["freeze **".into()],
            ..TrainState::default()
        }
    }

    #[test]
    fn a_state_comes_back_to_the_last_bit() {
        assert_eq!(decode(&encode(&state()).unwrap()).unwrap(), state());
        let json: serde_json::Value = serde_json::from_slice(&encode(&state()).unwrap()).unwrap();
        assert_eq!(json["blake3"].as_str().map(str::len), Some(HEX));
    }

    #[test]
    fn metrics_that_are_no_numbers_are_kept_as_such() {
        let nan = TrainState { metrics: Metrics::from([("val/loss".to_owned(), f64::NAN)]), ..state() };
        assert!(decode(&encode(&nan).unwrap()).unwrap().metrics["val/loss"].is_nan());
    }

    #[test]
    fn every_flipped_bit_and_every_cut_is_noticed() {
        let bytes = encode(&state()).unwrap();
        for i in 0..bytes.len() {
            let mut flipped = bytes.clone();
            flipped[i] ^= 1 << (i % 8);
            assert!(decode(&flipped).is_err(), "byte {i}");
            assert!(decode(&bytes[..i]).is_err(), "cut at {i}");
        }
    }

    #[test]
    fn what_is_wrong_with_a_state_is_said_in_one_line() {
        // Found by the fuzz target `manifest`: the parser's words repeat the name of an unknown key.
        let mut bytes =
            serde_json::to_string_pretty(&state()).unwrap().replacen("\"shuffle\"", "\"shu\\nffle\\u001b[2J\"", 1);
        bytes.truncate(bytes.len() - 2);
        let sum = blake3::hash(bytes.as_bytes()).to_hex();
        let Err(BadState::Damaged(words)) = decode([&bytes, MARK, sum.as_str(), END].concat().as_bytes()) else {
            panic!("taken")
        };
        assert!(words.starts_with("unknown field `shu?ffle?[2J`") && !words.contains('\n'), "{words}");
    }

    #[test]
    fn a_newer_format_is_not_called_damaged() {
        let newer = TrainState { format: FORMAT + 1, ..state() };
        assert_eq!(decode(&encode(&newer).unwrap()), Err(BadState::Newer(FORMAT + 1)));
    }
}
