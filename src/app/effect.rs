//! What is to be done outside the model. `tui` carries it out and answers with a message.

use std::path::PathBuf;

use super::diff_view::Side;
use super::drafts::KeptDraft;
use crate::core::command::Command;
use crate::core::recipe::Recipe;
use crate::core::run::{RunEdit, RunStatus};
use crate::core::weights::{ExportFormat, Selection};

/// One thing to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// Read the run home.
    ReadRuns,
    /// Read these runs' lines of the run list.
    ReadSummaries(Vec<String>),
    /// Read the recipes of these runs.
    ReadRunRecipes(Vec<String>),
    /// Read curves for the run list.
    ReadSparks(Vec<SparkJob>),
    /// Change what the run list keeps about these runs.
    EditRuns {
        /// Their ids.
        runs: Vec<String>,
        /// The change.
        edit: RunEdit,
    },
    /// Tell how much these runs take on disk.
    WeighRuns(Vec<String>),
    /// Delete these runs; the user was asked.
    DeleteRuns(Vec<String>),
    /// Read these runs to compare them.
    Compare(Vec<String>),
    /// Measure how far those of these runs that are forks went from where they began.
    MeasureDrift(Vec<String>),
    /// Ask the engine which devices can be used.
    ReadDevices,
    /// Read what the devices do.
    SampleDevices,
    /// List the current folder's recipes.
    ListRecipes,
    /// Write a new recipe file.
    WriteRecipe(RecipeJob),
    /// Read a recipe's text, to change values in it.
    ReadRecipe(PathBuf),
    /// Read a recipe and build its model to see the layers.
    OpenDraft(PathBuf),
    /// Write rules into a recipe file, unless it is another one than when it was read.
    WriteRules {
        /// The file.
        path: PathBuf,
        /// All its freeze rules.
        rules: Vec<String>,
        /// Checksum of the text that was read.
        checksum: String,
    },
    /// Keep a draft's edits for another session.
    KeepDraft(KeptDraft),
    /// There is nothing to keep of a recipe's draft any more.
    ForgetDraft(PathBuf),
    /// Read the layers of a checkpoint and its freeze rules.
    ReadCheckpointTree {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// Compare two checkpoints tensor by tensor.
    ReadDrift(super::values::Pair),
    /// Read values of tensors and count them.
    ReadValues(super::values::Look),
    /// Look for drafts that an earlier session left.
    ReadDrafts,
    /// Read a run's history.
    OpenRun(String),
    /// Read a run's history, to draw its curves over those of the run on view.
    ReadCurves(String),
    /// Build a run's model to see the layers.
    ReadTree(String),
    /// List a run's checkpoints.
    ReadCheckpoints(String),
    /// Compare two checkpoints in full.
    Diff {
        /// The first.
        before: Side,
        /// The second.
        after: Side,
    },
    /// Keep a checkpoint for ever, or no longer.
    PinCheckpoint {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
        /// For ever.
        pinned: bool,
    },
    /// Delete a checkpoint; the user was asked.
    DeleteCheckpoint {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// Read what a checkpoint's `state.json` tells.
    ReadFacts {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
        /// When the one that is looked at was written: another one may take its place and name.
        time_ms: u64,
    },
    /// Check every byte of these checkpoints.
    Verify {
        /// The run.
        run: String,
        /// Folder names.
        names: Vec<String>,
    },
    /// Start a run in this process.
    Start(StartJob),
    /// Say something to the run that is live here.
    Send(Command),
    /// Say something to the run of another process that this screen is connected to.
    Tell(Command),
    /// Have the followed run with this id tell its gradients' norms, and no other one.
    Gradients(Option<String>),
    /// Connect to the process that hosts a run.
    Attach(String),
    /// Have a process in the background go on with a run, which has just been stopped for it.
    HandOver {
        /// The run.
        run: String,
        /// It stood still, and does so there.
        paused: bool,
    },
    /// Read the names of a checkpoint's tensors.
    ReadTensors {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// Read the recipe that a fork of a checkpoint begins with.
    ReadForkBase {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// Write a checkpoint's weights to a file.
    Export(ExportJob),
    /// List the themes.
    ListThemes,
    /// Draw with a theme from here on.
    Theme(String),
    /// Keep the theme for the next time.
    KeepTheme(String),
    /// Put a text on the clipboard of the user's terminal.
    Copy(String),
    /// Ring the terminal's bell and notify, as the settings ask.
    Alert(String),
    /// Give the terminal back to the shell until `fg`.
    Suspend,
    /// Draw every cell afresh.
    Redraw,
    /// Leave; a run that is live here is stopped with a checkpoint first.
    Quit,
    /// Leave without waiting for the run: its last checkpoint stands.
    Abandon,
}

/// A recipe that is to be written.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeJob {
    /// The file, relative to the current folder.
    pub path: PathBuf,
    /// Its text.
    pub text: String,
    /// Overwrite what is there.
    pub force: bool,
    /// What is there is only overwritten where this is its checksum.
    pub checksum: Option<String>,
}

/// A curve that is to be read.
#[derive(Debug, Clone, PartialEq)]
pub struct SparkJob {
    /// The run.
    pub run: String,
    /// Its monitored metric.
    pub monitor: String,
    /// Its step and status as the list has them.
    pub at: (u64, RunStatus),
}

/// What is to be started.
#[derive(Debug, Clone, PartialEq)]
pub enum StartJob {
    /// A new run.
    Fresh {
        /// With this recipe.
        recipe: Box<Recipe>,
        /// Its file.
        file: PathBuf,
        /// Checksum of the file's text as the recipe was read from it: another text there is not what the user looks at.
        checksum: String,
    },
    /// A run goes on.
    Resume {
        /// The run.
        run: String,
        /// From this checkpoint; the newest good one when `None`.
        from: Option<String>,
        /// What makes it longer, `train.epochs=20`.
        sets: Vec<String>,
    },
    /// A new run from step 0 with a checkpoint's weights.
    Fork {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        from: String,
        /// Its optimizer state too.
        optimizer: bool,
        /// Changes of its recipe, `a.b=value`.
        sets: Vec<String>,
    },
}

/// An export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportJob {
    /// The run.
    pub run: String,
    /// The checkpoint's folder name.
    pub checkpoint: String,
    /// The file to write, absolute or relative to the current folder.
    pub path: PathBuf,
    /// As what.
    pub format: ExportFormat,
    /// What of it, and under which names.
    pub selection: Selection,
    /// Overwrite what is there.
    pub force: bool,
}
