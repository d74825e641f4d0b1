//! Commands, obeyed between two steps; each is answered by [`Event::Reply`].

use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::Duration;

use crate::core::checkpoint::policy::Reason;
use crate::core::command::{Command, HANDED_OVER, NOT_HANDED_OVER, Request};
use crate::core::event::Event;
use crate::core::freeze::Plan;
use crate::engine::EngineError;

use super::TrainError;
use super::boundary::Validated;
use super::trainer::{End, Flow, Trainer};
use super::words::metrics_words;

/// How often a paused run looks whether the other ranks are still there, and whether somebody wants to know its gradients.
const LOOK: Duration = Duration::from_millis(500);

/// What is answered.
type Answer = Result<String, String>;

impl Trainer<'_> {
    /// Obeys what waits. A paused run stays here and costs next to no CPU: it sleeps until the next command, but for a look
    /// around twice a second.
    pub(super) fn obey(&mut self) -> Flow {
        loop {
            let Some(request) = self.next_request()? else {
                if self.orphaned {
                    return self.stop("its host ended").map(|(_, end)| end);
                }
                return Ok(None);
            };
            if let Some(end) = self.execute(request)? {
                return Ok(Some(end));
            }
        }
    }

    fn next_request(&mut self) -> Result<Option<Request>, EngineError> {
        if let Some(request) = self.waiting.pop_front() {
            return Ok(Some(request));
        }
        let next = match self.paused {
            false => self.inbox.try_recv(),
            true => loop {
                self.built.learner.attend()?;
                self.offer_gradients();
                match self.inbox.recv_timeout(LOOK) {
                    Err(RecvTimeoutError::Timeout) => {}
                    other => break other.map_err(|_| TryRecvError::Disconnected),
                }
            },
        };
        self.orphaned |= matches!(next, Err(TryRecvError::Disconnected));
        Ok(next.ok())
    }

    fn execute(&mut self, request: Request) -> Flow {
        let Request { id, command } = request;
        if let Command::Stop { reason } = command {
            let (answer, end) = self.stop(&reason)?;
            self.say(Event::Reply { id, result: answer });
            return Ok(end);
        }
        // Every other command needs the state between two steps too.
        if let Some(end) = self.settle()? {
            self.say(Event::Reply { id, result: Err("the run cannot go on".to_owned()) });
            return Ok(Some(end));
        }
        let result = match command {
            Command::Pause => self.pause(),
            Command::Continue => self.go_on(),
            Command::Save => self.save(Reason::Save.as_str())?,
            Command::Evaluate => self.evaluate_now()?,
            Command::Freeze { rules } => self.freeze_now(&rules),
            Command::SetLr { lr } => self.set_lr(lr),
            Command::SetDevices { devices } => self.set_devices(devices)?,
            Command::Stop { .. } => Ok(String::new()),
        };
        self.say(Event::Reply { id, result });
        self.rate.restart();
        Ok(None)
    }

    /// Saves and ends. A run that is to go over to another process stays where that one could not go on from here.
    fn stop(&mut self, reason: &str) -> Result<(Answer, Option<End>), TrainError> {
        if let Some(end) = self.settle()? {
            return Ok((Err("the run cannot go on".to_owned()), Some(end)));
        }
        Ok(match self.save_surely(Reason::Stop.as_str())? {
            Ok(name) => (Ok(name), Some(End::Stopped(reason.to_owned()))),
            Err(e) if reason == HANDED_OVER => (Err(format!("{NOT_HANDED_OVER}: {e}")), None),
            Err(e) => {
                let message = format!("stopped ({reason}), but the checkpoint could not be written: {e}");
                (Err(e), Some(End::Failed(message)))
            }
        })
    }

    fn pause(&mut self) -> Answer {
        if self.paused {
            return Ok("it stands still already".to_owned());
        }
        // Nobody listens to the saver while the run stands still.
        self.written(true);
        self.paused = true;
        self.say(Event::Paused);
        self.out.flush();
        Ok(format!("paused after step {}", self.now.at.step))
    }

    fn go_on(&mut self) -> Answer {
        if !self.paused {
            return Ok("it is running already".to_owned());
        }
        self.paused = false;
        self.say(Event::Continued);
        Ok(format!("goes on after step {}", self.now.at.step))
    }

    /// A validation on request; schedules and early stopping do not see it.
    fn evaluate_now(&mut self) -> Result<Answer, TrainError> {
        if self.built.data.info().val_len == 0 {
            return Ok(Err("there is no validation data; set data.val_fraction".to_owned()));
        }
        match self.validate(self.now.at.epoch)? {
            Validated::Yes => {}
            Validated::Stopped => return Ok(Err("the run is being stopped".to_owned())),
            Validated::OutOfMemory(what) => return Ok(Err(self.built.out_of_memory(&what))),
        }
        // The newest metrics belong to checkpoints of this state.
        self.saved = None;
        let val = self.now.metrics.iter().filter(|(n, _)| n.starts_with("val/"));
        Ok(Ok(metrics_words(&val.map(|(n, v)| (n.clone(), *v)).collect())))
    }

    /// Appends rules to the plan, all or none.
    fn freeze_now(&mut self, rules: &[String]) -> Answer {
        let mut plan = self.built.plan.clone();
        if let Err(e) = plan.push_all(rules) {
            return Err(format!("{e}; the plan before it stays"));
        }
        self.change_plan(plan)?;
        let trainable = self.built.resolution.trainable();
        Ok(format!("{trainable} of {} tensors learn", self.built.resolution.params.len()))
    }

    /// Another plan from the next step on; on an error the one before it stays.
    pub(super) fn change_plan(&mut self, plan: Plan) -> Result<(), String> {
        let at = self.now.at;
        self.built.put(plan, &at).map_err(|e| format!("{e}; the plan before it stays"))?;
        self.noted = false;
        self.saved = None;
        self.say_plan();
        Ok(())
    }

    fn set_lr(&mut self, lr: f64) -> Answer {
        if !lr.is_finite() || lr < 0.0 {
            return Err(format!("lr = {lr}: give a finite number that is not negative"));
        }
        if self.built.recipe.optimizer.lr == 0.0 {
            return Err("the recipe's optimizer.lr is 0, so every group stands still; fork with another one".to_owned());
        }
        self.now.base_lr = lr;
        self.saved = None;
        self.say(Event::LrChanged { lr });
        Ok(format!("the base learning rate is {lr}"))
    }
}
