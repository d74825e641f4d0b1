//! An engine around an engine: it dies at a step, waits at a step until the test has done its part, and writes down which
//! samples each step saw.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};

use frostline::core::freeze::Resolution;
use frostline::core::recipe::Recipe;
use frostline::core::tensor::HostTensor;
use frostline::core::tree::Tree;
use frostline::engine::data::Dataset;
use frostline::engine::telemetry::Telemetry;
use frostline::engine::{
    Batch, DeviceInfo, Engine, EngineError, EvalSums, InputSpec, Learner, Pass, Snapshot, StepInput, StepReport,
};

/// Samples of each step's micro batches.
pub type Seen = BTreeMap<u64, Vec<Vec<u64>>>;

#[derive(PartialEq)]
enum At {
    Step(u64),
    /// The evaluation of a batch, counted from 0.
    Evaluation(u64),
}

struct Gate {
    at: At,
    arrived: Sender<()>,
    go: Receiver<()>,
}

/// The test's side of a gate.
pub struct Held {
    arrived: Receiver<()>,
    go: Sender<()>,
}

impl Held {
    /// Waits until the trainer is inside the step, does `work`, lets it go on.
    pub fn during<T>(self, work: impl FnOnce() -> T) -> T {
        self.arrived.recv().unwrap();
        let done = work();
        self.go.send(()).unwrap();
        done
    }
}

#[derive(Clone)]
pub struct Probe {
    inner: Arc<dyn Engine>,
    /// The step with this number (from 0) panics.
    pub die_at: Option<u64>,
    /// Each learner warns of its devices.
    pub warns: bool,
    gates: Arc<Mutex<Vec<Gate>>>,
    pub seen: Arc<Mutex<Seen>>,
    /// `built on DEVICES`, and `room on DEVICES` where a learner made some.
    pub places: Arc<Mutex<Vec<String>>>,
}

impl Probe {
    pub fn new(inner: &Arc<dyn Engine>) -> Self {
        Self {
            inner: Arc::clone(inner),
            die_at: None,
            warns: false,
            gates: Arc::default(),
            seen: Arc::default(),
            places: Arc::default(),
        }
    }

    pub fn dying_at(mut self, step: u64) -> Self {
        self.die_at = Some(step);
        self
    }

    /// The step with this number (from 0) waits for the test.
    pub fn gate(&self, step: u64) -> Held {
        self.hold(At::Step(step))
    }

    /// The evaluation of the batch with this number (from 0, over the learner's life) waits for the test.
    pub fn gate_evaluation(&self, number: u64) -> Held {
        self.hold(At::Evaluation(number))
    }

    fn hold(&self, at: At) -> Held {
        let (arrived, test_arrived) = channel();
        let (test_go, go) = channel();
        self.gates.lock().unwrap().push(Gate { at, arrived, go });
        Held { arrived: test_arrived, go: test_go }
    }

    fn pass(&self, at: &At) {
        let gate = {
            let mut gates = self.gates.lock().unwrap();
            let place = gates.iter().position(|g| g.at == *at);
            place.map(|i| gates.remove(i))
        };
        if let Some(gate) = gate {
            gate.arrived.send(()).unwrap();
            let _ = gate.go.recv();
        }
    }

    pub fn engine(&self) -> Arc<dyn Engine> {
        Arc::new(self.clone())
    }

    fn note(&self, what: String) {
        self.places.lock().unwrap().push(what);
    }

    pub fn seen(&self) -> Seen {
        self.seen.lock().unwrap().clone()
    }
}

impl Engine for Probe {
    fn name(&self) -> String {
        self.inner.name()
    }
    fn devices(&self) -> Vec<DeviceInfo> {
        self.inner.devices()
    }
    fn telemetry(&self) -> Option<Telemetry> {
        self.inner.telemetry()
    }
    fn architectures(&self) -> Vec<String> {
        self.inner.architectures()
    }
    fn input_channels(&self, arch: &str) -> Option<usize> {
        self.inner.input_channels(arch)
    }
    fn resolve_devices(&self, asked: &[String]) -> Result<Vec<String>, EngineError> {
        self.inner.resolve_devices(asked)
    }
    fn learner(&self, recipe: &Recipe, input: &InputSpec, device: &str) -> Result<Box<dyn Learner>, EngineError> {
        self.note(format!("built on {device}"));
        let inner = self.inner.learner(recipe, input, device)?;
        Ok(Box::new(Probed { inner, probe: self.clone(), evaluations: 0, devices: device.to_owned() }))
    }
    fn learner_on(
        &self,
        recipe: &Recipe,
        input: &InputSpec,
        data: &Dataset,
        devices: &[String],
    ) -> Result<Box<dyn Learner>, EngineError> {
        self.note(format!("built on {}", devices.join(", ")));
        let inner = self.inner.learner_on(recipe, input, data, devices)?;
        Ok(Box::new(Probed { inner, probe: self.clone(), evaluations: 0, devices: devices.join(", ") }))
    }
}

struct Probed {
    inner: Box<dyn Learner>,
    probe: Probe,
    evaluations: u64,
    devices: String,
}

impl Learner for Probed {
    fn tree(&self) -> &Tree {
        self.inner.tree()
    }
    fn warnings(&self) -> Vec<String> {
        let own = self.probe.warns.then(|| format!("slow on {}", self.devices));
        [self.inner.warnings(), own.into_iter().collect()].concat()
    }
    fn ranks(&self) -> &[String] {
        self.inner.ranks()
    }
    fn begin_pass(&mut self, pass: Pass) -> Result<(), EngineError> {
        self.inner.begin_pass(pass)
    }
    fn apply_freeze(&mut self, plan: &Resolution) -> Result<(), EngineError> {
        self.inner.apply_freeze(plan)
    }
    fn step(&mut self, input: &StepInput<'_>) -> Result<(), EngineError> {
        self.probe.pass(&At::Step(input.step));
        if self.probe.die_at == Some(input.step) {
            // Without the panic hook's output: it is meant.
            std::panic::resume_unwind(Box::new("killed by the test".to_owned()));
        }
        let samples = input.micro.iter().map(|b| b.indices.clone()).collect();
        self.probe.seen.lock().unwrap().insert(input.step, samples);
        self.inner.step(input)
    }
    fn drain(&mut self, wait: bool) -> Result<Vec<StepReport>, EngineError> {
        self.inner.drain(wait)
    }
    fn probe(&mut self, batch: &Batch) -> Result<Vec<Option<f64>>, EngineError> {
        self.inner.probe(batch)
    }
    fn gradient_norms(&mut self) -> Result<Vec<Option<f64>>, EngineError> {
        self.inner.gradient_norms()
    }
    fn probe_peak(&self) -> Option<u64> {
        self.inner.probe_peak()
    }
    fn make_room(&mut self) -> Result<(), EngineError> {
        self.probe.note(format!("room on {}", self.devices));
        self.inner.make_room()
    }
    fn evaluate(&mut self, batch: &Batch) -> Result<EvalSums, EngineError> {
        self.probe.pass(&At::Evaluation(self.evaluations));
        self.evaluations += 1;
        self.inner.evaluate(batch)
    }
    fn predict(&mut self, x: &[f32], x_shape: &[usize]) -> Result<HostTensor, EngineError> {
        self.inner.predict(x, x_shape)
    }
    fn snapshot_into(&mut self, into: &mut Snapshot) -> Result<(), EngineError> {
        self.inner.snapshot_into(into)
    }
    fn room(&self) -> Result<Snapshot, EngineError> {
        self.inner.room()
    }
    fn restore_weights(&mut self, weights: &[HostTensor]) -> Result<(), EngineError> {
        self.inner.restore_weights(weights)
    }
    fn restore_optimizer(
        &mut self,
        optimizer: &[HostTensor],
        extra: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<(), EngineError> {
        self.inner.restore_optimizer(optimizer, extra)
    }
}
