//! What the shim says of a script.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;
use serde_json::{Map, Value};

/// A script.
#[derive(Debug, Deserialize)]
pub struct Facts {
    /// Its modules, parents before children; the root first.
    pub modules: Vec<Module>,
    /// Second names of tensors, each with the first.
    pub tied: Vec<(String, String)>,
    /// Arguments of `forward`; `None` where there is no forward.
    pub inputs: Option<Vec<Input>>,
    /// Type of its result.
    #[serde(default)]
    pub output: String,
}

/// A module.
#[derive(Debug, Deserialize)]
pub struct Module {
    /// Name below the parent.
    pub name: String,
    /// Number of the parent; -1 for the root.
    pub parent: i64,
    /// Class name, without Python's module.
    pub class: String,
    /// Own parameters, in the order of registration.
    pub parameters: Vec<String>,
    /// Own buffers.
    pub buffers: Vec<String>,
    /// Attributes and constants that are plain values (`kernel_size`, `p`…).
    pub values: BTreeMap<String, Value>,
    /// The operators of its own code that tell of hyper-parameters, with their constant arguments.
    pub operators: Vec<Map<String, Value>>,
    /// Attributes that its code changes and that are no buffers.
    pub state: Vec<String>,
    /// Modules below it, by their paths from here, whose parameters its code takes without calling them.
    pub taken: Vec<String>,
}

/// An argument of `forward`.
#[derive(Debug, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// Its type.
    #[serde(rename = "type")]
    pub ty: String,
    /// Whether it has a default.
    pub optional: bool,
}

impl Facts {
    /// Modules whose parameters the code of another one takes without calling them, each with that other one.
    pub fn taken(&self) -> Vec<(usize, usize)> {
        let ids: HashMap<String, usize> = (0..self.modules.len()).map(|id| (self.path(id), id)).collect();
        let of = |(user, module): (usize, &Module)| {
            let path = self.path(user);
            let below = module.taken.iter().filter_map(|p| ids.get(&super::join(&path, p)).copied());
            below.map(|id| (id, user)).collect::<Vec<_>>()
        };
        self.modules.iter().enumerate().flat_map(of).collect()
    }

    /// Dotted path of a module.
    pub fn path(&self, module: usize) -> String {
        let mut names = Vec::new();
        let mut at = self.modules.get(module);
        while let Some(m) = at.filter(|m| m.parent >= 0) {
            names.push(m.name.as_str());
            at = usize::try_from(m.parent).ok().and_then(|p| self.modules.get(p));
        }
        names.reverse();
        names.join(".")
    }
}

impl Module {
    /// The operator of one of these names.
    pub fn operator(&self, names: &[&str]) -> Option<&Map<String, Value>> {
        self.operators.iter().find(|op| op.get("op").and_then(Value::as_str).is_some_and(|op| names.contains(&op)))
    }
}
