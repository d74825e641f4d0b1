//! The whole state of the screen.

use std::path::PathBuf;

use crate::core::alerts::Alerts;
use crate::core::command::Command;
use crate::core::filter::Query;
use crate::core::fit::{BatchSizes, MemoryEstimate};
use crate::core::recipe::Recipe;
use crate::core::run::{RunId, RunStatus, RunSummary};

use super::action::{ACTIONS, Action};
use super::charts::Charts;
use super::checkpoint_list::CheckpointList;
use super::compare_view::CompareView;
use super::devices::Devices;
use super::diff_view::Side;
use super::drafts::KeptDraft;
use super::effect::{Effect, StartJob};
use super::folds::Folds;
use super::keys::Keymap;
use super::layers::Layers;
use super::message::CheckpointFacts;
use super::overlay::{Confirm, Overlay, Purpose};
use super::place::{Place, Screen};
use super::run_list::RunList;
use super::run_view::{Level, RunView};
use super::sparks::Sparks;
use super::toast::{Toast, Toasts};
use super::values::{Drifted, Pair, Seen};

/// A recipe that is not started yet.
#[derive(Debug, Clone)]
pub struct Draft {
    /// The file.
    pub path: PathBuf,
    /// Resolved.
    pub recipe: Recipe,
    /// Its layers with the edits.
    pub layers: Layers,
    /// Rules in the file.
    pub in_file: Vec<String>,
    /// Checksum of the file's text as it was read or written last.
    pub checksum: String,
    /// Rules in force and staged as they were kept last for another session.
    pub kept: (Vec<String>, Vec<String>),
}

impl Draft {
    /// Whether its plan is another one than its file's.
    pub fn is_unwritten(&self) -> bool {
        self.layers.plan() != self.in_file
    }

    /// Its edits, to be taken up when the recipe is opened again.
    pub fn to_keep(&self, time_ms: u64) -> KeptDraft {
        KeptDraft {
            path: self.path.clone(),
            in_file: self.in_file.clone(),
            rules: self.layers.rules().to_vec(),
            staged: self.layers.staged().to_vec(),
            time_ms,
        }
    }
}

/// A checkpoint whose layers are looked at.
#[derive(Debug, Clone)]
pub struct Past {
    /// Its run.
    pub run: String,
    /// The run's name.
    pub run_name: String,
    /// Its folder name.
    pub name: String,
    /// Its layers under the plan of that time.
    pub layers: Layers,
}

/// What the Model screen shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Subject {
    /// The draft.
    Draft,
    /// The run that Train and Checkpoints show.
    Run,
    /// A checkpoint.
    Checkpoint,
}

/// What a checkpoint's `state.json` tells besides its line of the list.
#[derive(Debug, Clone)]
pub struct Facts {
    /// Its run.
    pub run: String,
    /// Its folder name.
    pub name: String,
    /// When the row that was looked at was written: a later one may have the same name.
    pub time_ms: u64,
    /// What is in it, once it is read.
    pub read: Option<Result<Box<CheckpointFacts>, String>>,
}

/// What takes a while, said in the header. The three go on beside each other.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Busy {
    /// A run is being started.
    pub starting: Option<Starting>,
    /// A recipe's model is built.
    pub building: Option<PathBuf>,
    /// Weights are written to a file.
    pub exporting: Option<Exporting>,
}

impl Busy {
    /// Whether nothing goes on.
    pub fn is_idle(&self) -> bool {
        *self == Self::default()
    }
}

/// What a run that is being started takes, once it stands.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Starting {
    /// The draft that it comes from: its file, and its rules as they were sent.
    pub draft: Option<(PathBuf, Vec<String>)>,
    /// The devices that were picked for it.
    pub devices: Vec<String>,
}

/// How far an export is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Exporting {
    /// It was sent.
    #[default]
    Sent,
    /// The checkpoint is read and proved.
    Reading {
        /// Bytes that were read.
        done: u64,
        /// Bytes in all; 0 while that is not known.
        total: u64,
    },
    /// The file is written.
    Writing {
        /// Bytes that were written.
        done: u64,
        /// Bytes in all.
        total: u64,
    },
}

/// A live run that cannot be connected to.
#[derive(Debug, Clone, PartialEq)]
pub struct Unreachable {
    /// The run.
    pub run: String,
    /// When that was first so, in milliseconds since the Unix epoch.
    pub since_ms: u64,
    /// What was said about it, so that it is said once; nothing while it may be just starting.
    pub said: Option<String>,
}

/// The state.
#[derive(Debug, Clone)]
pub struct Model {
    /// Milliseconds since the Unix epoch.
    pub now_ms: u64,
    /// Columns and rows of the screen.
    pub size: (u16, u16),
    /// The keys.
    pub keymap: Keymap,
    /// What is told when something happens to a run.
    pub alerts: Alerts,
    /// The screen on view.
    pub screen: Screen,
    /// What lies on top, the last one uppermost.
    pub overlays: Vec<Overlay>,
    /// What was said, oldest first.
    pub toasts: Toasts,
    /// The run home's folder, for the empty state.
    pub home: String,
    /// The run home; `None` while it is read for the first time.
    pub runs: Option<Vec<RunSummary>>,
    /// Why the run home cannot be read.
    pub runs_problem: Option<String>,
    /// Which of them are listed, and in which order.
    pub run_list: RunList,
    /// Line under the cursor.
    pub run_cursor: usize,
    /// Curves of the runs that were seen.
    pub sparks: Sparks,
    /// Ids of the marked runs, in the order in which they were marked.
    pub marks: Vec<String>,
    /// Runs side by side.
    pub compare: CompareView,
    /// What can compute.
    pub devices: Devices,
    /// Runs that were opened: the hosted one and the one on view.
    pub views: Vec<RunView>,
    /// The run on view.
    pub shown: Option<String>,
    /// The screen to go to once the run that the last session left is opened.
    pub returning: Option<Screen>,
    /// A run that is being opened.
    pub opening: Option<String>,
    /// The run whose trainer lives in this process.
    pub hosted: Option<String>,
    /// What is to be started once the run that has just stopped here has wound up.
    pub next_start: Option<(StartJob, Starting)>,
    /// The run of another process that this screen is connected to; it is the one on view.
    pub attached: Option<String>,
    /// A run that is being connected to.
    pub attaching: Option<String>,
    /// What is known of a connection that cannot be made.
    pub unreachable: Option<Unreachable>,
    /// Which checkpoints of the run on view are listed, and in which order.
    pub checkpoint_list: CheckpointList,
    /// What the user did with the charts.
    pub charts: Charts,
    /// A recipe that is not started yet.
    pub draft: Option<Draft>,
    /// A checkpoint whose layers are looked at.
    pub past: Option<Past>,
    /// What the Model screen shows.
    pub subject: Subject,
    /// What is folded of layer trees, those that are not on view too.
    pub folds: Folds,
    /// Whether Model and Checkpoints have their side pane, where there is room beside tree and list.
    pub side: bool,
    /// Values that were looked at last.
    pub seen: Option<Seen>,
    /// What a checkpoint's `state.json` tells, as it was read last.
    pub facts: Option<Facts>,
    /// A checkpoint that another one is to be compared with.
    pub marked: Option<Side>,
    /// Checkpoints that were compared last.
    pub drifted: Option<Drifted>,
    /// The pair that was asked for last.
    pub drift_asked: Option<Pair>,
    /// The run that tells its gradients' norms.
    pub gradients_of: Option<String>,
    /// What takes a while.
    pub busy: Busy,
    /// The process is to end as soon as the hosted run has.
    pub leaving: bool,
    /// On leaving, the run goes over to a process in the background.
    pub handing_over: bool,
    /// A signal came while it did.
    pub signalled: bool,
    /// Why a run that is being started is to be stopped at once.
    pub stop_reason: String,
    /// A run is to be started as soon as the screen stands (`train --watch`).
    pub watch: bool,
}

impl Model {
    /// An empty screen, and what is to be done first.
    pub fn new(keymap: Keymap, home: String, watch: bool) -> (Self, Vec<Effect>) {
        let model = Self {
            now_ms: 0,
            size: (80, 24),
            keymap,
            alerts: Alerts::default(),
            screen: if watch { Screen::Train } else { Screen::Runs },
            overlays: Vec::new(),
            toasts: Toasts::default(),
            home,
            runs: None,
            runs_problem: None,
            run_list: RunList::default(),
            run_cursor: 0,
            sparks: Sparks::default(),
            marks: Vec::new(),
            compare: CompareView::default(),
            devices: Devices::default(),
            views: Vec::new(),
            shown: None,
            returning: None,
            opening: None,
            hosted: None,
            next_start: None,
            attached: None,
            attaching: None,
            unreachable: None,
            checkpoint_list: CheckpointList::default(),
            charts: Charts::default(),
            draft: None,
            past: None,
            subject: Subject::Run,
            folds: Folds::default(),
            side: true,
            seen: None,
            facts: None,
            marked: None,
            drifted: None,
            drift_asked: None,
            gradients_of: None,
            busy: Busy { starting: watch.then(Starting::default), ..Busy::default() },
            leaving: false,
            handing_over: false,
            signalled: false,
            stop_reason: String::new(),
            watch,
        };
        (model, vec![Effect::ReadRuns])
    }

    /// The run on view.
    pub fn shown(&self) -> Option<&RunView> {
        self.view(self.shown.as_deref()?)
    }

    /// The run on view, to change.
    pub fn shown_mut(&mut self) -> Option<&mut RunView> {
        let id = self.shown.clone()?;
        self.view_mut(&id)
    }

    /// An opened run.
    pub fn view(&self, id: &str) -> Option<&RunView> {
        self.views.iter().find(|v| v.id == id)
    }

    /// An opened run, to change.
    pub fn view_mut(&mut self, id: &str) -> Option<&mut RunView> {
        self.views.iter_mut().find(|v| v.id == id)
    }

    /// The run that is trained in this process.
    pub fn hosted(&self) -> Option<&RunView> {
        self.view(self.hosted.as_deref()?)
    }

    /// Whether a run is trained in this process, and not just winding up.
    pub fn hosts_a_live_run(&self) -> bool {
        self.hosted().is_some_and(|v| v.status.is_live())
    }

    /// Puts a run on view; of the others, only the hosted one is kept.
    pub fn show(&mut self, mut view: RunView) {
        view.smooth(self.charts.weight());
        let selected = self.selected_checkpoint().map(|r| r.name.clone());
        if self.shown.as_ref() != Some(&view.id) {
            self.charts.reset();
            (self.checkpoint_list.filter, self.checkpoint_list.cursor) = (Query::default(), 0);
        }
        self.charts.overlaid.retain(|other| other.id != view.id);
        let id = view.id.clone();
        let hosted = self.hosted.clone();
        self.views.retain(|v| v.id != id && Some(&v.id) == hosted.as_ref());
        self.views.push(view);
        if self.attached.as_ref() != Some(&id) {
            self.attached = None;
        }
        self.shown = Some(id);
        self.subject = Subject::Run;
        self.arrange_checkpoints(selected.as_deref());
    }

    /// Puts a run on view that was opened before.
    pub fn look_at(&mut self, id: String) {
        if self.shown.as_ref() == Some(&id) {
            return;
        }
        self.shown = Some(id);
        (self.checkpoint_list.filter, self.checkpoint_list.cursor) = (Query::default(), 0);
        self.arrange_checkpoints(None);
    }

    /// The layers on the Model screen.
    pub fn layers(&self) -> Option<&Layers> {
        match self.subject {
            Subject::Draft => self.draft.as_ref().map(|d| &d.layers),
            Subject::Run => self.shown()?.layers.as_ref(),
            Subject::Checkpoint => self.past.as_ref().map(|p| &p.layers),
        }
    }

    /// The layers on the Model screen, to change.
    pub fn layers_mut(&mut self) -> Option<&mut Layers> {
        match self.subject {
            Subject::Draft => self.draft.as_mut().map(|d| &mut d.layers),
            Subject::Run => self.shown_mut()?.layers.as_mut(),
            Subject::Checkpoint => self.past.as_mut().map(|p| &mut p.layers),
        }
    }

    /// Whether there is room for the side pane.
    pub fn is_wide(&self) -> bool {
        self.size.0 >= 110 && self.size.1 >= 12
    }

    /// Whether what is under the cursor is explained: beside it, or on top of it.
    pub fn has_side(&self) -> bool {
        self.side && self.is_wide() || self.overlays.iter().any(|o| matches!(o, Overlay::Explain { .. }))
    }

    /// Whether the node under the cursor of the layer tree is explained: beside it, or on top of it.
    pub fn explains(&self) -> bool {
        self.screen == Screen::Model && self.has_side()
    }

    /// The optimizer of the model on view.
    pub fn optimizer(&self) -> Option<&crate::core::recipe::OptimizerSpec> {
        match self.subject {
            Subject::Draft => self.draft.as_ref().map(|d| &d.recipe.optimizer),
            Subject::Run | Subject::Checkpoint => self.shown().map(|v| &v.optimizer),
        }
    }

    /// What a run with the plan on view would hold in memory, counted from the tree, and how its batches are shared out.
    pub fn memory(&self) -> Option<(MemoryEstimate, BatchSizes)> {
        let layers = self.layers()?;
        let batches = match self.subject {
            Subject::Draft => BatchSizes::of(&self.draft.as_ref()?.recipe.train),
            Subject::Run | Subject::Checkpoint => self.shown()?.batches,
        };
        let slots = self.optimizer().map_or(0, super::layers::slots);
        Some((MemoryEstimate::counted(layers.tree(), layers.preview(), slots, batches.per_device), batches))
    }

    /// The base learning rate: as a live run last said, else the recipe's.
    pub fn base_rate(&self) -> Option<f64> {
        let said = self.shown().filter(|_| self.subject == Subject::Run).and_then(|v| v.latest.get("lr").copied());
        said.or_else(|| Some(self.optimizer()?.lr))
    }

    /// The run under the cursor of the run list.
    pub fn selected_run(&self) -> Option<&RunSummary> {
        self.runs.as_ref()?.get(*self.run_list.shown().get(self.run_cursor)?)
    }

    /// The marked runs, in the list's order; where none is marked, the one under the cursor.
    pub fn chosen_runs(&self) -> Vec<&RunSummary> {
        let marked = |run: &&RunSummary| self.marks.iter().any(|id| run.id.as_str() == id);
        let marked: Vec<&RunSummary> = self.runs.iter().flatten().filter(marked).collect();
        if marked.is_empty() { self.selected_run().into_iter().collect() } else { marked }
    }

    /// What is to be read for the lines of the run list that can be seen. The streams of runs that are followed know better.
    pub fn wanted_sparks(&mut self) -> Vec<Effect> {
        let Some(runs) = self.runs.as_ref().filter(|_| self.screen == Screen::Runs) else { return Vec::new() };
        let (shown, height) = (self.run_list.shown(), usize::from(self.size.1));
        let first = self.run_cursor.saturating_sub(height / 2).min(shown.len().saturating_sub(height));
        let seen = shown.iter().skip(first).take(height).filter_map(|i| runs.get(*i));
        let followed = |run: &&RunSummary| self.views.iter().any(|v| v.is_followed() && v.id == run.id.as_str());
        let jobs = self.sparks.wanted(seen.filter(|run| !followed(run)));
        if jobs.is_empty() { Vec::new() } else { vec![Effect::ReadSparks(jobs)] }
    }

    /// Arranges the run list anew, the cursor on the run on which it was.
    pub fn arrange_runs(&mut self, selected: Option<RunId>) -> Vec<Effect> {
        let Some(runs) = &self.runs else { return Vec::new() };
        let missing = self.run_list.arrange(runs);
        let shown = self.run_list.shown();
        let at = selected.and_then(|id| shown.iter().position(|i| runs[*i].id == id));
        self.run_cursor = at.unwrap_or(self.run_cursor).min(shown.len().saturating_sub(1));
        if missing.is_empty() { Vec::new() } else { vec![Effect::ReadRunRecipes(missing)] }
    }

    /// Whose keys are in force.
    pub fn place(&self) -> Place {
        self.overlays.last().map_or(self.screen.place(), Overlay::place)
    }

    /// Says something to the user.
    pub fn say(&mut self, level: Level, text: impl Into<String>) {
        self.toasts.push(Toast { level, text: text.into(), at_ms: self.now_ms, standing: true, until_resumed: None });
    }

    /// Says something that has no point any more once the run goes on.
    pub fn say_until_resumed(&mut self, level: Level, text: String, run: &str) {
        let until_resumed = Some(run.to_owned());
        self.toasts.push(Toast { level, text, at_ms: self.now_ms, standing: true, until_resumed });
    }

    /// Whether the time itself changes what is shown, so that a tick a second is wanted.
    pub fn wants_ticks(&self) -> bool {
        self.toasts.standing().next().is_some() || self.hosted.is_some() || self.attached.is_some()
    }

    /// Whether the run that was hosted here has stopped, and another process is taking it over.
    pub fn is_going_over(&self) -> bool {
        self.leaving && self.handing_over && self.hosted.is_none()
    }

    /// Whether the run on view can be told something: it is trained in this process, or in one that this is connected to.
    fn shown_is_in_reach(&self) -> bool {
        self.shown.is_some() && (self.shown == self.hosted || self.shown == self.attached)
    }

    /// Says something to the run on view.
    pub fn tell(&self, command: Command) -> Effect {
        if self.shown == self.hosted { Effect::Send(command) } else { Effect::Tell(command) }
    }

    /// Whether an action does something here and now; the footer and the palette offer only these.
    pub fn enabled(&self, action: Action) -> bool {
        let live = self.shown_is_in_reach() && !self.leaving;
        let staged = self.layers().is_some_and(|l| !l.staged().is_empty());
        let draft = self.subject == Subject::Draft && self.draft.is_some();
        match action {
            Action::OpenRun | Action::MarkRun | Action::RenameRun | Action::NoteRun | Action::Lineage => {
                self.selected_run().is_some()
            }
            Action::TagRuns | Action::DeleteRuns => !self.chosen_runs().is_empty(),
            Action::CompareRuns => self.runs.as_ref().is_some_and(|runs| runs.len() > 1),
            Action::CompareAll | Action::NextMetric | Action::PreviousMetric => self.compare.comparison.is_some(),
            Action::MeasureDrift => self.compare.has_forks() && !self.compare.measuring,
            Action::ShiftLeft | Action::ShiftRight => self.compare.runs.len() > 1,
            Action::RefreshCompare => !self.compare.runs.is_empty(),
            Action::FilterRuns | Action::SortRuns | Action::ReverseRuns => {
                self.runs.as_ref().is_some_and(|runs| !runs.is_empty())
            }
            Action::ResumeRun => self.selected_run().is_some_and(|r| can_go_on(r.status)) && !self.hosts_a_live_run(),
            Action::ToggleFreeze | Action::NoGrad | Action::FreezeRule => {
                self.layers().is_some() && (draft || (live && self.subject == Subject::Run))
            }
            Action::Apply => staged && live && self.subject == Subject::Run,
            Action::Discard | Action::NextStaged => staged,
            Action::WriteRules => draft && self.draft.as_ref().is_some_and(Draft::is_unwritten),
            Action::EditRecipe => draft,
            Action::FilterLayers | Action::Explain => self.layers().is_some(),
            Action::PromptComplete => {
                matches!(self.overlays.last(), Some(Overlay::Ask(ask)) if ask.purpose == Purpose::FreezeRule)
            }
            Action::StartRun => draft && self.hosted.is_none(),
            Action::Undo => self.layers().is_some_and(Layers::can_undo),
            Action::Redo => self.layers().is_some_and(Layers::can_redo),
            Action::NextMatch | Action::PreviousMatch => self.layers().is_some_and(|l| l.filter().is_some()),
            Action::Fold | Action::Unfold | Action::ToggleFold | Action::FoldAll => self.layers().is_some(),
            Action::PickDevice => self.devices.selected().is_some(),
            Action::MoveRun => live && self.devices.selected().is_some(),
            Action::Pause | Action::Stop | Action::Save | Action::Evaluate | Action::SetLr => live,
            action if action.info().place == Place::Train => self.shown().is_some(),
            Action::Resume => {
                self.selected_checkpoint().is_some()
                    && self.shown().is_some_and(|v| can_go_on(v.status))
                    && !self.hosts_a_live_run()
            }
            Action::ForkWith => self.selected_checkpoint().is_some() && !self.hosts_a_live_run(),
            Action::FormNext | Action::FormPrevious | Action::FormMore | Action::FormLess | Action::FormAccept => {
                !matches!(self.overlays.last(), Some(Overlay::Form(form)) if form.sent)
            }
            Action::ConfirmOther => {
                matches!(self.overlays.last(), Some(Overlay::Confirm(Confirm { other: Some(_), .. })))
            }
            Action::Export
            | Action::Verify
            | Action::ShowLayers
            | Action::Details
            | Action::Pin
            | Action::MarkCheckpoint
            | Action::DiffCheckpoints
            | Action::DeleteCheckpoint => self.selected_checkpoint().is_some(),
            Action::FilterCheckpoints | Action::SortCheckpoints | Action::ReverseCheckpoints | Action::VerifyAll => {
                self.shown().is_some_and(|v| v.checkpoints.as_ref().is_some_and(|c| !c.is_empty()))
            }
            Action::RefreshCheckpoints => self.shown().is_some(),
            _ => true,
        }
    }

    /// Actions of this place that do something now, in the table's order.
    pub fn offered(&self, place: Place) -> Vec<Action> {
        let here = ACTIONS.iter().filter(|i| i.place == place).map(|i| i.action);
        here.filter(|a| self.enabled(*a)).collect()
    }
}

/// Whether a run with this status can go on, a finished one when it is made longer.
fn can_go_on(status: RunStatus) -> bool {
    can_resume(status) || status == RunStatus::Finished
}

/// Whether a run with this status can go on as it is.
pub fn can_resume(status: RunStatus) -> bool {
    matches!(status, RunStatus::Stopped | RunStatus::Failed | RunStatus::Crashed)
}
