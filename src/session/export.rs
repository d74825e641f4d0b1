//! A checkpoint's model as TorchScript.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use crate::core::checkpoint::TrainState;
use crate::core::io::SafeFile;
use crate::core::tensor::HostTensor;
use crate::core::weights::{WeightsError, write_safely};
use crate::engine::archive;
use crate::engine::train::{self, TrainError};
use crate::engine::{Engine, InputSpec};

/// Writes the model with these weights, as safely as a checkpoint. An existing file is replaced with `force` only.
///
/// # Errors
/// What the engine or the disk refuses; nothing of the file remains then.
pub fn export_script(
    engine: &dyn Engine,
    state: &TrainState,
    weights: &[HostTensor],
    to: &Path,
    force: bool,
) -> Result<(), TrainError> {
    archive::unchanged(&state.recipe, &state.extra)?;
    let input = InputSpec { sample_shape: state.data.sample_shape.clone(), outputs: state.data.outputs };
    let mut failed = None;
    let written = write_safely(to, force, |temp| {
        let disk = |source| WeightsError::Io { path: to.to_owned(), what: "write", source };
        let mut file = Kept { out: BufWriter::new(SafeFile::create_new(temp).map_err(disk)?), failed: None };
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
struct Kept {
    out: BufWriter<SafeFile>,
    failed: Option<io::Error>,
}

impl Kept {
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

impl Write for Kept {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.out.write(bytes);
        self.keep(written)
    }
    fn flush(&mut self) -> io::Result<()> {
        let flushed = self.out.flush();
        self.keep(flushed)
    }
}
