//! A checkpoint's weights, or its model as TorchScript, for others to load: what `frostline export` and the screen's form do.

use std::collections::BTreeMap;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::sync::Arc;

use crate::core::checkpoint::TrainState;
use crate::core::io::SafeFile;
use crate::core::tensor::HostTensor;
use crate::core::weights::{
    ExportFormat, Progress, Selection, WeightsError, select, write_pth_watched, write_safely, write_safetensors_watched,
};
use crate::engine::archive;
use crate::engine::train::{self, TrainError};
use crate::engine::{Engine, InputSpec};

/// What is exported.
pub struct Exportable {
    /// Of the checkpoint, or of the first one where several are averaged.
    pub state: TrainState,
    /// Its weights.
    pub weights: Vec<HostTensor>,
    /// In words: `RUN@120`.
    pub label: String,
    /// The checkpoints, where there are several.
    pub averaged: Vec<String>,
}

/// As what, and where.
#[derive(Debug, Clone)]
pub struct ExportAs<'a> {
    /// The format.
    pub format: ExportFormat,
    /// What of it, and under which names.
    pub selection: &'a Selection,
    /// The file.
    pub to: &'a Path,
    /// Replace a file that is there.
    pub force: bool,
}

/// What was written, in words, as `44 tensors of RUN@120`, and its bytes.
pub type Exported = (String, u64);

/// Writes it, as safely as a checkpoint. The engine is asked for where the format needs it; `progress` is told of bytes that were written, of
/// as many as [`Exportable::weights`] hold if nothing is left out or converted.
///
/// # Errors
/// What cannot be taken, what the engine or the disk refuses; nothing of the file remains then.
pub fn export<E: From<TrainError>>(
    engine: impl FnOnce() -> Result<Arc<dyn Engine>, E>,
    what: Exportable,
    how: &ExportAs<'_>,
    progress: Progress<'_>,
) -> Result<Exported, E> {
    let engine = match how.format {
        ExportFormat::Torchscript => {
            whole(how.selection)?;
            Some(engine()?)
        }
        ExportFormat::Safetensors | ExportFormat::Pth => None,
    };
    Ok(written(engine.as_deref(), what, how, progress)?)
}

fn written(
    engine: Option<&dyn Engine>,
    what: Exportable,
    how: &ExportAs<'_>,
    progress: Progress<'_>,
) -> Result<Exported, TrainError> {
    let Exportable { state, weights, label, averaged } = what;
    let of = |tensors: &[HostTensor]| tensors.iter().map(|t| t.data.len() as u64).sum();
    if let Some(engine) = engine {
        export_script(engine, &state, &weights, how.to, how.force, progress)?;
        return Ok((format!("TorchScript of {}, {label}", state.recipe.model.arch), of(&weights)));
    }
    let tensors = select(weights, how.selection)?;
    if how.format == ExportFormat::Pth {
        write_pth_watched(how.to, &tensors, how.force, progress)?;
    } else {
        let metadata = metadata(&state, &label, &averaged)?;
        write_safetensors_watched(how.to, &tensors, &metadata, how.force, progress)?;
    }
    let noun = if tensors.len() == 1 { "tensor" } else { "tensors" };
    Ok((format!("{} {noun} of {label}", tensors.len()), of(&tensors)))
}

/// A script takes its weights as they are.
fn whole(selection: &Selection) -> Result<(), TrainError> {
    match selection.first_option() {
        Some(option) => Err(TrainError::Refused(format!(
            "{option}: a TorchScript file holds the whole model as it was trained; leave the option out, or write .safetensors or .pth"
        ))),
        None => Ok(()),
    }
}

fn metadata(state: &TrainState, label: &str, averaged: &[String]) -> Result<BTreeMap<String, String>, TrainError> {
    let mut metadata = BTreeMap::from([("frostline.model".to_owned(), state.recipe.model.arch.clone())]);
    if averaged.is_empty() {
        metadata.insert("frostline.step".to_owned(), state.step.to_string());
        metadata.insert("frostline.checkpoint".to_owned(), label.to_owned());
        for (name, value) in &state.metrics {
            metadata.insert(format!("frostline.{name}"), value.to_string());
        }
    } else {
        metadata.insert("frostline.average".to_owned(), averaged.join(" "));
    }
    if !state.data.class_names.is_empty() {
        let names = serde_json::to_string(&state.data.class_names).map_err(|e| TrainError::Failed(e.to_string()))?;
        metadata.insert("frostline.class_names".to_owned(), names);
    }
    Ok(metadata)
}

/// Writes the model with these weights, as safely as a checkpoint. An existing file is replaced with `force` only.
///
/// # Errors
/// What the engine or the disk refuses; nothing of the file remains then.
pub(super) fn export_script(
    engine: &dyn Engine,
    state: &TrainState,
    weights: &[HostTensor],
    to: &Path,
    force: bool,
    progress: Progress<'_>,
) -> Result<(), TrainError> {
    archive::unchanged(&state.recipe, &state.extra)?;
    let input = InputSpec { sample_shape: state.data.sample_shape.clone(), outputs: state.data.outputs };
    let mut failed = None;
    let written = write_safely(to, force, |temp| {
        let disk = |source| WeightsError::Io { path: to.to_owned(), what: "write", source };
        let out = BufWriter::new(SafeFile::create_new(temp).map_err(disk)?);
        let mut file = Kept { out, failed: None, progress };
        let made = train::guarded(|| Ok(engine.export_script(&state.recipe, &input, weights, &mut file)?))
            .and_then(|()| file.flush().map_err(|e| TrainError::Failed(e.to_string())));
        match (made, file.failed.take()) {
            (_, Some(source)) => Err(disk(source)),
            (Ok(()), None) => Ok(()),
            (Err(error), None) => {
                let problem = error.to_string();
                failed = Some(error);
                Err(WeightsError::NotWeights { path: to.to_owned(), problem })
            }
        }
    });
    match failed {
        Some(error) => Err(error),
        None => Ok(written?),
    }
}

/// A file that keeps what the disk said: an engine passes on the words at most.
struct Kept<'a> {
    out: BufWriter<SafeFile>,
    failed: Option<io::Error>,
    progress: Progress<'a>,
}

impl Kept<'_> {
    fn keep<T>(&mut self, result: io::Result<T>) -> io::Result<T> {
        result.map_err(|e| {
            let words = io::Error::new(e.kind(), e.to_string());
            if e.kind() != io::ErrorKind::Interrupted {
                self.failed.get_or_insert(e);
            }
            words
        })
    }
}

impl Write for Kept<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        if let Ok(written) = &written {
            (self.progress)(*written as u64);
        }
        self.keep(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.keep(flushed)
    }
}
