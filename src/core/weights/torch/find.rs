//! Where in a checkpoint the state dict is: chosen by the names that people use, or by the recipe's key.
//!
//! - A dict whose values are tensors is a state dict; a pickled module is one too.
//! - Where a dict has other containers with tensors inside, the first of [`PREFERRED`] that it has is looked into, unless the dict itself has more
//!   tensors than that one.
//! - Without such a name a single container is looked into; of several all are taken, with dotted names, so that nothing is lost.
//! - What belongs to the optimizer ([`STATES`]) is never looked into.

use std::collections::{HashMap, HashSet, VecDeque};

use super::graph::{Key, MAX_NAME, child, children, is_container, is_module, script_class};
use super::script::Code;
use super::walk::{Found, Walk};
use crate::core::weights::pickle::{Heap, Id, Value};
use crate::core::weights::trouble::Result;

/// Names under which checkpoints keep the model, the most usual first.
const PREFERRED: &[&str] = &[
    "state_dict",
    "model",
    "net",
    "model_state_dict",
    "model_state",
    "module",
    "network",
    "model_weights",
    "weights",
    "params",
    "params_ema",
    "ema",
    "state_dict_ema",
    "model_ema",
    "ema_state_dict",
    "ema_model",
    "teacher",
    "student",
];

/// What training keeps beside the model.
const STATES: &[&str] = &[
    "optimizer",
    "optimizers",
    "optimizer_state",
    "optimizer_states",
    "optimizer_state_dict",
    "optim",
    "optim_state_dict",
    "opt",
    "lr_scheduler",
    "lr_schedulers",
    "lr_scheduler_state_dict",
    "scheduler",
    "schedulers",
    "scheduler_state_dict",
    "scaler",
    "grad_scaler",
    "amp",
    "amp_scaler",
    "callbacks",
    "loops",
    "rng_state",
    "rng_states",
    "random_states",
    "MixedPrecisionPlugin",
];

/// State dicts that are named to the user.
const MAX_CANDIDATES: usize = 32;
/// Steps from the root to a state dict.
const MAX_STEPS: usize = 16;

/// The state dict that was chosen.
#[derive(Debug, Default)]
pub struct Choice {
    pub tensors: Vec<Found>,
    /// Its dotted place in the file; `None` is the top.
    pub key: Option<String>,
    /// Every place that could be chosen.
    pub candidates: Vec<String>,
}

/// Everything that can be reached from the root, and what has tensors inside.
struct Graph<'a> {
    heap: &'a Heap,
    /// In the order of their distance from the root.
    order: Vec<Id>,
    parents: HashMap<Id, (Id, Key)>,
    /// Tensors directly in a container; of modules 1 stands for some.
    direct: HashMap<Id, usize>,
    bearing: HashSet<Id>,
}

/// Memory for an edge and a container in the tables.
const EDGE: u64 = 16;
const NODE: u64 = 208;

impl<'a> Graph<'a> {
    fn explore(heap: &'a Heap, root: Id) -> Result<Self> {
        let mut graph =
            Self { heap, order: Vec::new(), parents: HashMap::new(), direct: HashMap::new(), bearing: HashSet::new() };
        // By child.
        let mut edges: Vec<(Id, Id)> = Vec::new();
        let mut queue = VecDeque::from([root]);
        let mut seen = HashSet::from([root]);
        while let Some(id) = queue.pop_front() {
            heap.budget.take(NODE)?;
            graph.order.push(id);
            if is_leaf(heap, id) {
                graph.direct.insert(id, 1);
                continue;
            }
            for (key, value) in children(heap, id) {
                if matches!(heap.get(value), Value::Tensor(_)) {
                    *graph.direct.entry(id).or_default() += 1;
                } else if is_container(heap, value) && !is_state(heap, key) {
                    heap.budget.take(2 * EDGE)?;
                    edges.push((value, id));
                    if seen.insert(value) {
                        graph.parents.insert(value, (id, key));
                        queue.push_back(value);
                    }
                }
            }
        }
        edges.sort_unstable();
        let mut open: Vec<Id> = graph.direct.keys().copied().collect();
        while let Some(id) = open.pop() {
            if graph.bearing.insert(id) {
                let from = edges.partition_point(|(child, _)| *child < id);
                open.extend(edges[from..].iter().take_while(|(child, _)| *child == id).map(|(_, parent)| *parent));
            }
        }
        Ok(graph)
    }

    fn direct(&self, id: Id) -> usize {
        self.direct.get(&id).copied().unwrap_or(0)
    }

    /// The dotted place of a container; `None` for the root.
    fn place(&self, id: Id) -> Option<String> {
        let mut parts = Vec::new();
        let mut at = id;
        while let Some((parent, key)) = self.parents.get(&at) {
            parts.push(key.name(self.heap).filter(|name| name.len() <= MAX_NAME)?);
            at = *parent;
            if parts.len() > MAX_STEPS {
                return None;
            }
        }
        parts.reverse();
        (!parts.is_empty()).then(|| parts.join("."))
    }

    fn candidates(&self) -> Vec<String> {
        let holding = self.order.iter().filter(|id| self.direct(**id) > 0);
        holding.filter_map(|id| self.place(*id)).take(MAX_CANDIDATES).collect()
    }

    /// Goes from a container to the one that is the state dict; the steps are appended to `path`.
    fn descend(&self, from: Id, path: &mut Vec<String>) -> Id {
        let mut at = from;
        let mut passed = HashSet::new();
        while path.len() < MAX_STEPS && passed.insert(at) && !is_leaf(self.heap, at) {
            let named = PREFERRED.iter().find_map(|name| {
                let inner = child(self.heap, at, name).filter(|c| self.bearing.contains(c))?;
                (self.weight(inner) > self.direct(at)).then(|| ((*name).to_owned(), inner))
            });
            let next = named.or_else(|| if self.direct(at) == 0 { self.only_child(at) } else { None });
            let Some((name, inner)) = next else { break };
            path.push(name);
            at = inner;
        }
        at
    }

    /// How much a container weighs against the dict that it is in: what leads to a state dict or is a module outweighs stray tensors.
    fn weight(&self, id: Id) -> usize {
        if is_leaf(self.heap, id) || self.direct(id) == 0 { usize::MAX } else { self.direct(id) }
    }

    /// The one container with tensors inside, where there is one.
    fn only_child(&self, id: Id) -> Option<(String, Id)> {
        let mut bearing = children(self.heap, id)
            .filter(|(key, value)| self.bearing.contains(value) && !is_state(self.heap, *key))
            .filter_map(|(key, value)| Some((key.name(self.heap)?, value)));
        let first = bearing.next()?;
        bearing.next().is_none().then_some(first)
    }
}

/// Looked at as a whole.
fn is_leaf(heap: &Heap, id: Id) -> bool {
    is_module(heap, id) || script_class(heap, id).is_some()
}

fn is_state(heap: &Heap, key: Key) -> bool {
    match key {
        Key::Value(id) => match heap.get(id) {
            Value::Str(span) => STATES.iter().any(|s| s.as_bytes() == heap.bytes(span)),
            _ => false,
        },
        Key::Index(_) => false,
    }
}

/// Finds the state dict. `Ok(None)`: nothing of that key.
pub fn choose(heap: &Heap, root: Id, key: Option<&str>, code: &Code) -> Result<Option<Choice>> {
    if let (Value::Tensor(tensor), None) = (heap.get(root), key) {
        let tensors = vec![Found { name: "tensor".into(), tensor }];
        return Ok(Some(Choice { tensors, ..Choice::default() }));
    }
    let graph = Graph::explore(heap, root)?;
    let candidates = graph.candidates();
    let mut path = Vec::new();
    let start = match key {
        None => root,
        Some(key) => match lookup(heap, root, key, 0) {
            Some(id) => {
                path.push(key.to_owned());
                id
            }
            None => return Ok(None),
        },
    };
    let at = if key.is_some() && direct_tensors(heap, start) { start } else { graph.descend(start, &mut path) };
    let mut walk = Walk::new(heap, code);
    if is_module(heap, at) {
        walk.module(at, "")?;
    } else if script_class(heap, at).is_some() {
        walk.script(at, "")?;
    } else {
        let plain = direct_tensors(heap, at);
        let inside = |name: &str, id: Id| {
            // What the explorer did not enter (an optimizer that was asked for by key) is taken as it is.
            (graph.bearing.contains(&id) || key.is_some())
                && !STATES.contains(&name)
                && !(plain && PREFERRED.contains(&name))
        };
        walk.container(at, "", &inside)?;
    }
    Ok(Some(Choice { tensors: walk.finish()?, key: (!path.is_empty()).then(|| path.join(".")), candidates }))
}

fn direct_tensors(heap: &Heap, id: Id) -> bool {
    children(heap, id).any(|(_, value)| matches!(heap.get(value), Value::Tensor(_)))
}

/// The places that could be chosen.
pub fn candidates(heap: &Heap, root: Id) -> Result<Vec<String>> {
    Ok(Graph::explore(heap, root)?.candidates())
}

/// The container at a dotted place. Names may have dots themselves.
fn lookup(heap: &Heap, at: Id, key: &str, depth: usize) -> Option<Id> {
    if depth > MAX_STEPS {
        return None;
    }
    if let Some(found) = child(heap, at, key).filter(|id| is_container(heap, *id)) {
        return Some(found);
    }
    key.match_indices('.').find_map(|(dot, _)| {
        let inner = child(heap, at, &key[..dot]).filter(|id| is_container(heap, *id))?;
        lookup(heap, inner, &key[dot + 1..], depth + 1)
    })
}
