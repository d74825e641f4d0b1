//! What happens: input, events of the run, and the answers of work done in the background.

use crate::core::checkpoint::diff::Drift;
use crate::core::checkpoint::policy::Guard;
use crate::core::device::{DeviceInfo, Survey};
use crate::core::event::{Metrics, Record};
use crate::core::fit::BatchSizes;
use crate::core::recipe::{Mode, OptimizerSpec, Recipe};
use crate::core::run::compare::LineageDrift;
use crate::core::run::spark::Spark;
use crate::core::run::{Comparison, RunSummary};
use crate::core::series::Series;
use crate::core::tree::Tree;

use super::diff_view::Side;
use super::drafts::KeptDraft;
use super::effect::SparkJob;
use super::keys::Key;
use super::model::Exporting;
use super::pointer::{Pointer, Target};

/// One thing that happened.
#[derive(Debug)]
pub enum Message {
    /// The time, in milliseconds since the Unix epoch; sent before what happened at it.
    Now(u64),
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse did something.
    Pointer {
        /// What.
        what: Pointer,
        /// On what.
        target: Option<Target>,
    },
    /// The screen's size in cells.
    Resize {
        /// Columns.
        width: u16,
        /// Rows.
        height: u16,
    },
    /// The run home was read.
    Runs(Result<Vec<RunSummary>, String>),
    /// Some lines of the run list were read again.
    Summaries(Vec<RunSummary>),
    /// Recipes of runs, for a filter that asks for them.
    RunRecipes(Vec<(String, Recipe)>),
    /// Curves for the run list.
    Sparks(Vec<(SparkJob, Spark)>),
    /// What the run list keeps was changed, or could not be; in words.
    Edited(Result<String, String>),
    /// How much runs take on disk.
    Weighed(Vec<RunWeight>),
    /// Runs were deleted.
    Deleted {
        /// Those that are gone.
        gone: Vec<String>,
        /// Why others are not.
        problems: Vec<String>,
    },
    /// Runs were read to be compared.
    Compared {
        /// Their ids.
        runs: Vec<String>,
        /// What they have in common and what not.
        result: Result<Box<Comparison>, String>,
    },
    /// Drift was measured.
    Drifted {
        /// The ids of all runs that are compared.
        runs: Vec<String>,
        /// That of each fork.
        drifts: Vec<Result<LineageDrift, String>>,
    },
    /// What the devices do.
    Survey(Survey),
    /// Which devices the engine can use, or why there is no engine.
    Devices(Result<Vec<DeviceInfo>, String>),
    /// The current folder's recipes.
    Recipes(Vec<RecipeEntry>),
    /// A recipe's text was read, to change values in it.
    RecipeText {
        /// The file.
        path: std::path::PathBuf,
        /// The text and its checksum, or why it cannot be read.
        result: Result<(String, String), String>,
    },
    /// A recipe was written, or not.
    RecipeWritten {
        /// The file as the form named it.
        asked: std::path::PathBuf,
        /// The file, or what was wrong.
        result: Result<std::path::PathBuf, RecipeProblem>,
    },
    /// A recipe was read, and its model built to see the layers.
    Draft {
        /// The file.
        path: std::path::PathBuf,
        /// What was read, or why it cannot be used.
        result: Result<Box<DraftReady>, String>,
    },
    /// A draft's rules were written into its recipe file (its new checksum), or not.
    RulesWritten {
        /// The file.
        path: std::path::PathBuf,
        /// The rules.
        rules: Vec<String>,
        /// The checksum of the file's new text, or why nothing was written.
        result: Result<String, String>,
    },
    /// The layers of a checkpoint, as its weights file tells them, with the freeze rules in force then; or why not.
    CheckpointTree {
        /// The run.
        run: String,
        /// The checkpoint.
        name: String,
        /// Layers and rules.
        result: Result<(Tree, Vec<String>), String>,
    },
    /// Two checkpoints were compared; nothing where they could not be.
    Drift(super::values::Drifted),
    /// Values were read, or could not be.
    Values {
        /// What was asked for.
        look: super::values::Look,
        /// The answer.
        stats: Result<crate::core::weights::ValueStats, String>,
    },
    /// Drafts with edits that an earlier session left.
    KeptDrafts(Vec<KeptDraft>),
    /// A run's history was read.
    Opened(Result<Box<OpenedRun>, String>),
    /// The history of a run that is drawn over the one on view.
    Curves {
        /// The run.
        run: String,
        /// What its files tell, or why they cannot be read.
        result: Result<Box<OpenedRun>, String>,
    },
    /// The layer tree of a run that is not live here.
    TreeReady {
        /// The run.
        run: String,
        /// Its tree.
        tree: Result<Tree, String>,
    },
    /// A run's checkpoints were listed.
    Checkpoints {
        /// The run.
        run: String,
        /// Oldest first.
        rows: Vec<CheckpointRow>,
    },
    /// Two checkpoints were compared in full, or could not be.
    Diffed {
        /// The first.
        before: Side,
        /// The second.
        after: Side,
        /// What differs.
        result: Result<Box<Drift>, String>,
    },
    /// A checkpoint was pinned or unpinned, or cannot be; in words.
    Pinned {
        /// The run.
        run: String,
        /// What was done.
        result: Result<String, String>,
    },
    /// A checkpoint was deleted, or not; in words.
    CheckpointDeleted {
        /// The run.
        run: String,
        /// What was done.
        result: Result<String, String>,
    },
    /// What a checkpoint's `state.json` tells was read, or cannot be.
    Facts {
        /// The run.
        run: String,
        /// The checkpoint.
        name: String,
        /// When the row that was looked at was written.
        time_ms: u64,
        /// What is in it.
        result: Result<Box<CheckpointFacts>, String>,
    },
    /// A checkpoint's bytes were checked.
    Verified {
        /// The run.
        run: String,
        /// The checkpoint.
        name: String,
        /// What is damaged, in words; empty when all is well.
        damage: Vec<String>,
    },
    /// A run was started in this process, or could not be.
    Started(Result<Box<StartedRun>, String>),
    /// What the live run said.
    Records(Vec<Record>),
    /// This screen is connected to the host of a run in another process; its files were read after that.
    Attached(Box<AttachedRun>),
    /// It cannot be.
    NotAttached {
        /// The run.
        run: String,
        /// Why, and what to do.
        problem: String,
        /// It is starting or ending, as far as can be seen.
        passing: bool,
    },
    /// What the run of another process said.
    Heard(Vec<Record>),
    /// The connection has ended, and most likely the run.
    Parted,
    /// A process in the background hosts the run now (its process id), or could not be started.
    HandedOver(Result<u32, String>),
    /// The live run's thread has ended.
    Ended,
    /// The tensors of a checkpoint that is to be exported, or why they cannot be read.
    Tensors {
        /// The run.
        run: String,
        /// The checkpoint.
        name: String,
        /// Its tensors.
        result: Result<Vec<super::form::Tensor>, String>,
    },
    /// The recipe that a fork of a checkpoint begins with, or why it cannot be read.
    ForkBase {
        /// The run.
        run: String,
        /// The checkpoint.
        name: String,
        /// The recipe.
        result: Result<Box<Recipe>, String>,
    },
    /// How far an export is.
    Exporting(Exporting),
    /// An export is done: the file, or what was wrong.
    Exported(Result<String, ExportProblem>),
    /// SIGTERM, SIGINT, or SIGUSR1: the process is to end.
    Terminate(&'static str),
    /// The themes, and the one in force.
    Themes {
        /// Their names.
        names: Vec<String>,
        /// The one in force.
        current: String,
    },
    /// A theme was written into the user's settings: the file, or what was wrong.
    ThemeKept(Result<String, String>),
    /// Something the user should know.
    Warning(String),
}

/// Why a recipe was not written.
#[derive(Debug, Clone, PartialEq)]
pub enum RecipeProblem {
    /// The file exists: the user is asked.
    Exists(super::effect::RecipeJob),
    /// Anything else, in words.
    Failed(String),
}

/// How much a run takes on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunWeight {
    /// The run.
    pub run: String,
    /// Its checkpoints.
    pub checkpoints: usize,
    /// Bytes of them.
    pub bytes: u64,
}

/// A recipe file of the current folder.
#[derive(Debug, Clone, PartialEq)]
pub struct RecipeEntry {
    /// The file.
    pub path: std::path::PathBuf,
    /// What is in it, or why it cannot be used.
    pub summary: Result<String, String>,
}

/// A recipe with its layers.
#[derive(Debug, Clone)]
pub struct DraftReady {
    /// Resolved.
    pub recipe: Recipe,
    /// Its layers.
    pub tree: Tree,
    /// Checksum of the file's text.
    pub checksum: String,
    /// Edits of an earlier session that were neither started nor written into the file.
    pub kept: Option<KeptDraft>,
}

/// A run as its files tell it.
#[derive(Debug, Clone)]
pub struct OpenedRun {
    /// The list's line of it.
    pub summary: RunSummary,
    /// The base learning rate it began with.
    pub lr: f64,
    /// The freeze rules it began with.
    pub rules: Vec<String>,
    /// The metric that "best" looks at.
    pub monitor: String,
    /// Whether smaller values of it are better.
    pub mode: Mode,
    /// Its optimizer.
    pub optimizer: OptimizerSpec,
    /// Samples of its batches.
    pub batches: BatchSizes,
    /// The rare events.
    pub records: Vec<Record>,
    /// The dense metrics, by name.
    pub series: Vec<(String, Series)>,
    /// Steps and when they were, in milliseconds since the Unix epoch.
    pub times: Vec<(u64, u64)>,
    /// The newest value of each.
    pub latest: Metrics,
    /// What was torn or dropped in its files.
    pub notes: Vec<String>,
}

/// A run that has just been started in this process.
#[derive(Debug, Clone)]
pub struct StartedRun {
    /// Its history so far; empty for a fresh run.
    pub opened: OpenedRun,
    /// Its layers.
    pub tree: Tree,
}

/// A run of another process that this screen is connected to.
#[derive(Debug, Clone)]
pub struct AttachedRun {
    /// Its history. What it says from the connection on may begin with the end of this.
    pub opened: OpenedRun,
    /// Its layers.
    pub tree: Tree,
    /// The process that hosts it.
    pub pid: u32,
}

/// One line of the checkpoint list.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointRow {
    /// Folder name.
    pub name: String,
    /// Optimizer steps done.
    pub step: u64,
    /// Epochs done.
    pub epoch: u64,
    /// Why it was written.
    pub reason: String,
    /// What was measured.
    pub metrics: Metrics,
    /// Size on disk.
    pub bytes: u64,
    /// When it was written, milliseconds since the Unix epoch.
    pub time_ms: u64,
    /// Why it is kept.
    pub kept: Vec<String>,
    /// Why it is not to be deleted, as far as its bytes are good.
    pub guard: Option<Guard>,
    /// Why it cannot be read at all: its `state.json` is damaged.
    pub problem: Option<String>,
}

/// What a checkpoint's `state.json` tells besides its line of the list.
#[derive(Debug, Clone, PartialEq)]
pub struct CheckpointFacts {
    /// Optimizer steps done in the epoch.
    pub step_in_epoch: u64,
    /// Training samples seen.
    pub samples_seen: u64,
    /// Base learning rate in force.
    pub lr: f64,
    /// Freeze rules in force.
    pub rules: Vec<String>,
    /// Best value of the monitored metric so far, and its step.
    pub best: Option<(f64, Option<u64>)>,
    /// Its files and their sizes.
    pub files: Vec<(String, u64)>,
    /// Versions of what wrote it.
    pub versions: Vec<(String, String)>,
}

/// Why an export did not happen.
#[derive(Debug, Clone, PartialEq)]
pub enum ExportProblem {
    /// The file exists: the user is asked.
    Exists(Box<super::effect::ExportJob>),
    /// Anything else, in words.
    Failed(String),
}
