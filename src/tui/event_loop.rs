//! The one loop: takes what happened, updates the model, carries effects out, and draws once if anything changed. A key
//! draws at once; news of the run draw at most 30 times a second; a terminal that is slow gets fewer frames.
//!
//! Order of ending: the run is over (or given up on a second demand), the screen's last frame is written, the terminal
//! is restored, the workers' queues are closed, an export is waited for, the run's handle is dropped (which joins its
//! trainer).
//!
//! Where the terminal goes away, nothing is drawn any more; what was begun (a start, an export, a stop) is brought to its
//! end, and a run that is live is given back to the caller, who follows it without a screen.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::{Duration, Instant, SystemTime};

use super::input::{self, Input};
use super::live::Live;
use super::look::Look;
use super::memory;
use super::painter::Painter;
use super::post::{Post, WAITING, Wake};
use super::settings::Themes;
use super::terminal;
use super::watch::{Changed, Watch};
use super::work::{Places, Workers};
use super::{Exit, TuiError};
use crate::app::memory::Memory;
use crate::app::place::Screen;
use crate::app::run_view::RunView;
use crate::app::{Effect, Message, Model, update};
use crate::session::{Engine, EngineError, Outcome, RunHandle, Start};

/// How the engine is built, when it is first needed.
pub type EngineSource = Box<dyn FnOnce() -> Result<Arc<dyn Engine>, EngineError> + Send>;

/// Shortest time between two frames that show nothing but news of the run.
const FRAME: Duration = Duration::from_millis(33);
/// Changes on disk are gathered for so long.
const BATCH: Duration = Duration::from_millis(250);
/// Lists are read again so often where changes cannot be watched, or where a run is live in another process.
const POLL: Duration = Duration::from_secs(2);
/// The same, of what nobody is at work on.
const SELDOM: Duration = Duration::from_secs(5);
/// Devices are read again so often while they are on view.
const SAMPLE: Duration = Duration::from_secs(1);

/// Runs of which not all are read every two seconds.
const MANY: usize = 500;

/// The loop's state besides the model.
pub struct EventLoop {
    model: Model,
    look: Look,
    themes: Themes,
    painter: Painter,
    workers: Workers,
    watch: Watch,
    hosted: Option<Live>,
    attached: Option<Live>,
    /// Number of the next followed run.
    next: u64,
    /// Where a run went that was handed over: its id and process.
    handed_over: Option<(String, u32)>,
    /// The run that was hosted last, and how it ended.
    run: Option<String>,
    outcome: Option<Outcome>,
    post: Post,
    wakes: Receiver<Wake>,
    /// When the lists are to be read again.
    refresh_runs: Option<Instant>,
    refresh_run: Option<Instant>,
    last_poll: Instant,
    last_sample: Instant,
    dirty: bool,
    /// A key waits for its frame.
    hurry: bool,
    last_frame: Instant,
    /// The terminal is the shell's until SIGCONT.
    asleep: bool,
    /// The terminal is gone.
    hung_up: bool,
    quit: bool,
    /// The run is not waited for.
    abandoned: bool,
}

/// What the loop starts from.
pub struct Setup {
    /// The model and its first effects.
    pub model: (Model, Vec<Effect>),
    /// Theme and signs.
    pub look: Look,
    /// Themes that can be chosen.
    pub themes: Themes,
    /// Where things are.
    pub places: Places,
    /// How the engine is built.
    pub engine: EngineSource,
    /// The run to start at once.
    pub watch: Option<Start>,
    /// What is wrong in the user's files.
    pub warnings: Vec<String>,
}

impl EventLoop {
    /// Draws the first frame and starts the threads. The terminal is entered already; `tty` is where it is drawn.
    pub fn start(setup: Setup, tty: std::fs::File) -> Result<Self, TuiError> {
        let io = |e: std::io::Error| TuiError::io("a thread cannot be started", &e);
        let (post, wakes) = Post::new();
        let (written, lost) = (post.clone(), post.clone());
        let painter = Painter::start(
            tty,
            move || {
                written.try_wake(Wake::Written);
            },
            move || {
                lost.wake(Wake::Input(Input::HungUp));
            },
        )?;
        let workers = Workers::start(&setup.places, setup.engine, &post).map_err(io)?;
        let watch = Watch::start(setup.places.home.path(), &post);
        let now = Instant::now();
        let (model, effects) = setup.model;
        let mut this = Self {
            model,
            look: setup.look,
            themes: setup.themes,
            painter,
            workers,
            watch,
            hosted: None,
            attached: None,
            next: 0,
            handed_over: None,
            run: None,
            outcome: None,
            post,
            wakes,
            refresh_runs: None,
            refresh_run: None,
            last_poll: now,
            last_sample: now,
            dirty: true,
            hurry: true,
            last_frame: now,
            asleep: false,
            hung_up: false,
            quit: false,
            abandoned: false,
        };
        this.apply(Message::Now(now_ms()));
        setup.warnings.into_iter().for_each(|w| this.apply(Message::Warning(w)));
        let (width, height) = terminal::size();
        this.apply(Message::Resize { width, height });
        // The first frame stands before anything is read or loaded.
        this.draw_if_due();
        this.perform(effects);
        if let Some(start) = setup.watch {
            this.workers.watch(start);
        }
        Ok(this)
    }

    /// Runs until the user leaves.
    pub fn run(mut self) -> Result<Exit, TuiError> {
        let io = |e: std::io::Error| TuiError::io("a thread cannot be started", &e);
        let (keys, signals) = (self.post.clone(), self.post.clone());
        let keyboard = input::keyboard(move |i| keys.wake(Wake::Input(i))).map_err(io)?;
        input::signals(move |i| signals.wake(Wake::Input(i))).map_err(io)?;
        while !self.quit && !self.may_go_on_alone() {
            let first = match self.wakes.recv_timeout(self.patience()) {
                Ok(wake) => Some(wake),
                Err(RecvTimeoutError::Timeout) => None,
                Err(RecvTimeoutError::Disconnected) => break,
            };
            self.apply(Message::Now(now_ms()));
            let mut next = first;
            // Everything that waits is taken before a frame is drawn, within reason.
            for _ in 0..WAITING {
                let Some(wake) = next else { break };
                self.take(wake);
                next = self.wakes.try_recv().ok();
            }
            self.let_go_of_others();
            self.keep_lists_fresh();
            self.draw_if_due();
        }
        drop(keyboard);
        Ok(self.end())
    }

    /// The terminal is gone, and nothing is under way that needs this loop: a live run goes on without it.
    fn may_go_on_alone(&self) -> bool {
        self.hung_up && self.model.busy.is_idle() && !self.model.leaving
    }

    /// Hangs up on a run of another process that is not on view any more.
    fn let_go_of_others(&mut self) {
        if self.attached.as_ref().is_some_and(|live| live.id() != self.model.attached.as_deref()) {
            self.attached = None;
        }
    }

    /// How long nothing needs to happen.
    fn patience(&self) -> Duration {
        let now = Instant::now();
        let mut until = now + Duration::from_secs(3600);
        if self.dirty && !self.asleep && !self.painter.busy() {
            until = until.min(if self.hurry { now } else { self.last_frame + FRAME });
        }
        if self.model.wants_ticks() {
            until = until.min(now + Duration::from_secs(1));
        }
        for refresh in [self.refresh_runs, self.refresh_run].into_iter().flatten() {
            until = until.min(refresh);
        }
        if let Some(every) = self.polls() {
            until = until.min(self.last_poll + every);
        }
        if self.samples() {
            until = until.min(self.last_sample + SAMPLE);
        }
        until.saturating_duration_since(now)
    }

    /// How often files must be read without a sign from the system, if at all: nothing can be watched, or what other
    /// processes do to the runs on view is told by no folder. A run of another process that is connected to tells itself.
    fn polls(&self) -> Option<Duration> {
        let elsewhere = |id: &str, live: bool| live && !self.follows(id);
        let listed = || self.model.runs.iter().flatten().any(|r| elsewhere(r.id.as_str(), r.status.is_live()));
        let seldom = |live: bool| if live { POLL } else { SELDOM };
        match self.model.screen {
            _ if self.watch.must_poll() => Some(POLL),
            Screen::Runs => Some(seldom(listed())),
            Screen::Compare if !self.model.compare.runs.is_empty() => Some(seldom(self.model.compare.is_live())),
            // It may be resumed by another process at any time.
            _ => self.model.shown.as_deref().is_some_and(|id| !self.follows(id)).then_some(POLL),
        }
    }

    /// Whether a stream of this run comes in.
    fn follows(&self, id: &str) -> bool {
        [&self.model.hosted, &self.model.attached].iter().any(|f| f.as_deref() == Some(id))
    }

    /// Whether somebody looks at the devices.
    fn samples(&self) -> bool {
        self.model.screen == Screen::Devices && !self.asleep
    }

    fn keep_lists_fresh(&mut self) {
        let now = Instant::now();
        if self.samples() && now >= self.last_sample + SAMPLE {
            self.last_sample = now;
            self.workers.effect(Effect::SampleDevices);
        }
        if self.polls().is_some_and(|every| now >= self.last_poll + every) {
            self.last_poll = now;
            self.poll(now);
        }
        if self.refresh_runs.is_some_and(|t| t <= now) {
            self.refresh_runs = None;
            self.workers.effect(Effect::ReadRuns);
        }
        if self.refresh_run.is_some_and(|t| t <= now) {
            self.refresh_run = None;
            if let Some(id) = self.model.shown.clone() {
                self.workers.effect(Effect::ReadCheckpoints(id));
            }
        }
        self.watch.follow(self.model.shown.as_deref());
    }

    fn poll(&mut self, now: Instant) {
        let shown = self.model.shown().map(|v| (v.id.clone(), v.status.is_live() || v.is_handed_over()));
        match (self.model.screen, shown) {
            (Screen::Runs, _) => self.poll_runs(now),
            (Screen::Compare, _) if self.model.compare.is_live() => {
                self.workers.effect(Effect::Compare(self.model.compare.runs.clone()));
            }
            (Screen::Compare, _) if !self.model.compare.runs.is_empty() => {
                self.workers.effect(Effect::ReadSummaries(self.model.compare.runs.clone()));
            }
            (Screen::Train, Some((id, true))) if !self.follows(&id) => self.workers.effect(Effect::OpenRun(id)),
            (screen, Some((id, _))) => {
                if !self.follows(&id) {
                    self.workers.effect(Effect::ReadSummaries(vec![id]));
                }
                if screen == Screen::Checkpoints && self.watch.must_poll() {
                    self.refresh_run = Some(now);
                }
            }
            _ => {}
        }
    }

    /// Reads the run home again; where it holds very many runs, those that are live.
    fn poll_runs(&mut self, now: Instant) {
        let runs = self.model.runs.as_deref().unwrap_or_default();
        if runs.len() <= MANY || self.watch.must_poll() {
            self.refresh_runs = Some(now);
        } else {
            let selected = self.model.selected_run().map(|r| r.id.as_str());
            let wanted = |id: &str| Some(id) == selected || Some(id) == self.model.shown.as_deref();
            let some = runs.iter().filter(|r| r.status.is_live() || wanted(r.id.as_str())).map(|r| r.id.to_string());
            let some = some.collect();
            self.workers.effect(Effect::ReadSummaries(some));
        }
    }

    fn take(&mut self, wake: Wake) {
        match wake {
            Wake::Input(input) => self.input(input),
            Wake::Message(message) => {
                self.dirty = true;
                self.apply(*message);
            }
            Wake::Hosted(hosted) => {
                let (handle, started) = *hosted;
                terminal::redirect(&handle.dir().log_path());
                (self.run, self.outcome) = (Some(handle.id().to_string()), None);
                self.hosted = Some(self.follow(handle));
                self.dirty = true;
                self.apply(started);
            }
            Wake::Attached(attached) => {
                let (handle, attached) = *attached;
                self.attached = Some(self.follow(handle));
                self.dirty = true;
                self.apply(attached);
            }
            Wake::Stirred(number) => self.hear(number),
            Wake::Over(number) => {
                self.hear(number);
                if let Some(hosted) = self.hosted.take_if(|live| live.number == number) {
                    self.outcome = hosted.join();
                    self.apply(Message::Ended);
                }
                if self.attached.take_if(|live| live.number == number).is_some() {
                    self.apply(Message::Parted);
                }
            }
            Wake::Written => {}
            Wake::Changed(changed) => {
                let due = Instant::now() + BATCH;
                match changed {
                    Changed::Runs => self.refresh_runs.get_or_insert(due),
                    Changed::Run => self.refresh_run.get_or_insert(due),
                };
            }
        }
    }

    fn follow(&mut self, handle: RunHandle) -> Live {
        self.next += 1;
        Live::start(handle, self.next, &self.post)
    }

    /// Takes in what a followed run said.
    fn hear(&mut self, number: u64) {
        let of = |live: &Option<Live>| {
            let live = live.as_ref().filter(|live| live.number == number)?;
            Some((live.drain(), live.has_lagged().then(|| live.id().map(str::to_owned)).flatten()))
        };
        let (message, lagged) = match (of(&self.hosted), of(&self.attached)) {
            (Some((records, _)), _) => (Message::Records(records), None),
            (None, Some((records, lagged))) => (Message::Heard(records), lagged),
            (None, None) => return,
        };
        self.dirty = true;
        self.apply(message);
        if let Some(id) = lagged {
            self.workers.effect(Effect::OpenRun(id));
        }
    }

    fn input(&mut self, input: Input) {
        (self.dirty, self.hurry) = (true, true);
        match input {
            Input::Key(key) => self.apply(Message::Key(key)),
            Input::Pointer(what, x, y) => {
                let target = self.look.hits.at(x, y);
                self.apply(Message::Pointer { what, target });
            }
            Input::Paste(text) => self.apply(Message::Paste(text)),
            Input::Terminate(signal) => self.apply(Message::Terminate(signal)),
            Input::Resized => {
                // Also at the same size: a window that shrank and grew again has lost what was cut off.
                self.painter.forget();
                self.resize();
            }
            Input::HungUp => {
                // Nothing is drawn any more. It comes by several ways.
                self.hung_up = true;
                self.asleep = true;
                terminal::abandon();
            }
            Input::Stop => self.suspend(),
            // A hang-up continues a process that was stopped.
            Input::Continued if self.hung_up => {}
            Input::Continued => {
                self.asleep = false;
                terminal::resume();
                self.painter.forget();
                self.resize();
            }
        }
    }

    fn resize(&mut self) {
        let (width, height) = terminal::size();
        self.apply(Message::Resize { width, height });
    }

    fn suspend(&mut self) {
        self.painter.settle();
        match terminal::suspend() {
            Ok(()) => self.asleep = true,
            Err(problem) => self.apply(Message::Warning(problem)),
        }
    }

    fn apply(&mut self, message: Message) {
        if let Message::HandedOver(Ok(pid)) = message {
            self.handed_over = self.run.clone().map(|run| (run, pid));
        }
        let was: usize = self.model.toasts.standing().count();
        let is_time = matches!(message, Message::Now(_));
        let effects = update(&mut self.model, message);
        // Time alone changes the picture only where a toast fell or a clock is shown.
        let counts = |v: &RunView| self.model.screen == Screen::Train && v.silent_for(self.model.now_ms).is_some();
        let ticks = was != self.model.toasts.standing().count() || self.model.shown().is_some_and(counts);
        self.dirty |= is_time && ticks;
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(command) => match &self.hosted {
                    Some(hosted) => hosted.send(command),
                    None => self.apply(Message::Warning("no run is live here".to_owned())),
                },
                Effect::Tell(command) => match &self.attached {
                    Some(attached) => attached.send(command),
                    None => self.apply(Message::Warning("the connection to the run is lost".to_owned())),
                },
                Effect::Gradients(of) => {
                    for live in [&self.hosted, &self.attached].into_iter().flatten() {
                        live.want_gradients(of.is_some() && live.id() == of.as_deref());
                    }
                }
                Effect::Alert(words) => {
                    self.painter.ring(&self.model.alerts.to_terminal(&self.look.glyphs.plain(&words)));
                    (self.dirty, self.hurry) = (true, true);
                }
                Effect::Copy(text) => {
                    use base64::Engine as _;
                    let coded = base64::engine::general_purpose::STANDARD.encode(text);
                    self.painter.ring(&format!("\x1b]52;c;{coded}\x07"));
                    (self.dirty, self.hurry) = (true, true);
                }
                Effect::ListThemes => {
                    let (names, current) = (self.themes.names(), self.themes.current().to_owned());
                    self.apply(Message::Themes { names, current });
                }
                Effect::Theme(name) => {
                    let (theme, warnings) = self.themes.load(&name);
                    self.look.theme = theme;
                    warnings.into_iter().for_each(|w| self.apply(Message::Warning(w)));
                }
                Effect::KeepTheme(name) => {
                    let kept = self.themes.keep(&name);
                    self.apply(Message::ThemeKept(kept));
                }
                Effect::Suspend => self.suspend(),
                Effect::Redraw => self.painter.forget(),
                Effect::Quit => self.quit = true,
                Effect::Abandon => (self.quit, self.abandoned) = (true, true),
                other => self.workers.effect(other),
            }
        }
    }

    fn draw_if_due(&mut self) {
        let due = self.hurry || self.last_frame.elapsed() >= FRAME;
        if self.asleep || !self.dirty || !due || self.painter.busy() {
            return;
        }
        self.painter.draw(&self.model, &self.look);
        self.last_frame = Instant::now();
        (self.dirty, self.hurry) = (false, false);
    }

    fn end(self) -> Exit {
        let Self {
            model,
            painter,
            workers,
            hosted,
            attached,
            wakes,
            run,
            outcome,
            abandoned,
            hung_up,
            handed_over,
            themes,
            ..
        } = self;
        if !hung_up {
            painter.settle();
            terminal::restore_soon();
        }
        memory::keep(themes.folder(), &model.home, Memory::of(&model), model.now_ms);
        // Whoever still sends is told that nobody listens.
        drop(wakes);
        workers.finish(model.busy.exporting.is_some());
        drop(attached);
        let going_over = model.is_going_over() && handed_over.is_none();
        let exit = Exit { run, outcome: None, handed_over, going_over, hung_up, alone: None };
        if hung_up && !abandoned {
            return match hosted.map(Live::release) {
                Some(alone) => Exit { alone, ..exit },
                None => Exit { outcome, ..exit },
            };
        }
        if abandoned {
            // The trainer ends with the process. What it has reported written is complete on disk.
            std::mem::forget(hosted);
            return Exit { outcome, ..exit };
        }
        // Where the loop broke off early, the handle still stops the run with a checkpoint.
        let outcome = hosted.and_then(Live::join).or(outcome);
        Exit { outcome, ..exit }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
