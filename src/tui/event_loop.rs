//! The one loop: takes what happened, updates the model, carries effects out, and draws once if anything changed. A key
//! draws at once; news of the run draw at most 30 times a second; a terminal that is slow gets fewer frames.
//!
//! Order of ending: the run is over (or given up on a second demand), the screen's last frame is written, the terminal
//! is restored, the workers' queues are closed, an export is waited for, the run's handle is dropped (which joins its
//! trainer).

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant, SystemTime};

use super::hosted::Hosted;
use super::input::{self, Input};
use super::look::Look;
use super::painter::Painter;
use super::terminal;
use super::watch::{Changed, Watch};
use super::work::{Places, Workers};
use super::{Exit, TuiError};
use crate::app::model::Busy;
use crate::app::place::Screen;
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
/// Events that wait for the loop at most; whoever sends more waits.
const WAITING: usize = 1024;

/// What wakes the loop.
pub enum Wake {
    /// Keyboard, window, signals.
    Input(Input),
    /// Work is done.
    Message(Box<Message>),
    /// A run was started here: its handle, and what the model is told of it before anything that the run says.
    Hosted(Box<(RunHandle, Message)>),
    /// The hosted run has something to say.
    Stirred,
    /// The hosted run is over.
    Over,
    /// The terminal has taken the last frame.
    Written,
    /// Something changed on disk.
    Changed(Changed),
}

/// A way to wake the loop, from any thread. False when the loop has ended.
#[derive(Clone)]
pub struct Post(SyncSender<Wake>);

impl Post {
    /// Sends a message to the model.
    pub fn message(&self, message: Message) -> bool {
        self.0.send(Wake::Message(Box::new(message))).is_ok()
    }

    /// Hands over a run's handle. One that comes too late is dropped, which stops the run with a checkpoint.
    pub fn hosted(&self, handle: RunHandle, started: Message) -> bool {
        self.0.send(Wake::Hosted(Box::new((handle, started)))).is_ok()
    }

    /// Wakes the loop.
    pub fn wake(&self, wake: Wake) -> bool {
        self.0.send(wake).is_ok()
    }

    /// Tells of a change on disk; when the loop is busy, another one will tell.
    pub fn changed(&self, changed: Changed) {
        let _ = self.0.try_send(Wake::Changed(changed));
    }
}

/// The loop's state besides the model.
pub struct EventLoop {
    model: Model,
    look: Look,
    painter: Painter,
    workers: Workers,
    watch: Watch,
    hosted: Option<Hosted>,
    /// The run that was hosted last, and how it ended.
    run: Option<String>,
    outcome: Option<Outcome>,
    post: Post,
    wakes: Receiver<Wake>,
    /// When the lists are to be read again.
    refresh_runs: Option<Instant>,
    refresh_run: Option<Instant>,
    last_poll: Instant,
    dirty: bool,
    /// A key waits for its frame.
    hurry: bool,
    last_frame: Instant,
    /// The terminal is the shell's until SIGCONT.
    asleep: bool,
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
        let (sender, wakes) = sync_channel(WAITING);
        let post = Post(sender);
        let (written, lost) = (post.clone(), post.clone());
        let painter = Painter::start(
            tty,
            move || {
                let _ = written.0.try_send(Wake::Written);
            },
            move || {
                lost.wake(Wake::Input(Input::Terminate("SIGHUP")));
            },
        )?;
        let workers = Workers::start(&setup.places, setup.engine, &post).map_err(io)?;
        let watch = Watch::start(setup.places.home.path(), &post);
        let now = Instant::now();
        let (model, effects) = setup.model;
        let mut this = Self {
            model,
            look: setup.look,
            painter,
            workers,
            watch,
            hosted: None,
            run: None,
            outcome: None,
            post,
            wakes,
            refresh_runs: None,
            refresh_run: None,
            last_poll: now,
            dirty: true,
            hurry: true,
            last_frame: now,
            asleep: false,
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
        while !self.quit {
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
            self.keep_lists_fresh();
            self.draw_if_due();
        }
        drop(keyboard);
        Ok(self.end())
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
        if self.polls() {
            until = until.min(self.last_poll + POLL);
        }
        until.saturating_duration_since(now)
    }

    /// Whether files must be read now and then without a sign from the system: nothing can be watched, or the metrics
    /// of a run in another process are on view.
    fn polls(&self) -> bool {
        let elsewhere = |id: &str, live: bool| live && self.model.hosted.as_deref() != Some(id);
        let listed = self.model.runs.iter().flatten().any(|r| elsewhere(r.id.as_str(), r.status.is_live()));
        match self.model.screen {
            _ if self.watch.must_poll() => true,
            Screen::Runs => listed,
            Screen::Train => self.model.shown().is_some_and(|v| elsewhere(&v.id, v.status.is_live())),
            Screen::Model | Screen::Checkpoints => false,
        }
    }

    fn keep_lists_fresh(&mut self) {
        let now = Instant::now();
        if self.polls() && now >= self.last_poll + POLL {
            self.last_poll = now;
            match (self.model.screen, &self.model.shown) {
                (Screen::Runs, _) => self.refresh_runs = Some(now),
                (Screen::Train, Some(id)) if self.model.hosted.as_ref() != Some(id) => {
                    self.workers.effect(Effect::OpenRun(id.clone()));
                }
                (Screen::Checkpoints, Some(_)) => self.refresh_run = Some(now),
                _ => {}
            }
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
                self.hosted = Some(Hosted::start(handle, &self.post));
                self.dirty = true;
                self.apply(started);
            }
            Wake::Stirred => {
                if let Some(records) = self.hosted.as_ref().map(Hosted::drain) {
                    self.dirty = true;
                    self.apply(Message::Records(records));
                }
            }
            Wake::Over => {
                if let Some(hosted) = self.hosted.take() {
                    let records = hosted.drain();
                    self.dirty = true;
                    self.apply(Message::Records(records));
                    self.outcome = hosted.join();
                    self.apply(Message::Ended);
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

    fn input(&mut self, input: Input) {
        (self.dirty, self.hurry) = (true, true);
        match input {
            Input::Key(key) => self.apply(Message::Key(key)),
            Input::Paste(text) => self.apply(Message::Paste(text)),
            Input::Terminate(signal) => self.apply(Message::Terminate(signal)),
            Input::Resized => {
                // Also at the same size: a window that shrank and grew again has lost what was cut off.
                self.painter.forget();
                self.resize();
            }
            Input::Stop => self.suspend(),
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
        let was: usize = self.model.standing_toasts().count();
        let is_time = matches!(message, Message::Now(_));
        let effects = update(&mut self.model, message);
        // Time alone changes the picture only where a toast fell or a clock is shown.
        self.dirty |= is_time && (was != self.model.standing_toasts().count());
        self.perform(effects);
    }

    fn perform(&mut self, effects: Vec<Effect>) {
        for effect in effects {
            match effect {
                Effect::Send(command) => match &self.hosted {
                    Some(hosted) => hosted.send(command),
                    None => self.apply(Message::Warning("no run is live here".to_owned())),
                },
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
        let Self { model, painter, workers, hosted, wakes, run, outcome, abandoned, .. } = self;
        painter.settle();
        terminal::restore_soon();
        // Whoever still sends is told that nobody listens.
        drop(wakes);
        workers.finish(model.busy == Some(Busy::Exporting));
        if abandoned {
            // The trainer ends with the process. What it has reported written is complete on disk.
            std::mem::forget(hosted);
            return Exit { run, outcome };
        }
        // Where the loop broke off early, the handle still stops the run with a checkpoint.
        let outcome = hosted.and_then(Hosted::join).or(outcome);
        Exit { run, outcome }
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
