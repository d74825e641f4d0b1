//! The values of what is under the cursor of the layer tree: where they are read, and what was found.

use std::collections::HashMap;
use std::path::PathBuf;

use super::layers::{Layers, NodeKind};
use super::model::{Model, Subject};
use super::run_view::Gradients;
use crate::core::weights::ValueStats;

/// Bytes of tensors that are read at most for one look.
pub const MOST: u64 = 1 << 29;

/// Where values are read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum From {
    /// A run's checkpoint.
    Checkpoint {
        /// The run.
        run: String,
        /// The checkpoint's folder name.
        name: String,
    },
    /// A weights file, whose names may begin with a prefix that the model's do not have.
    File {
        /// The file.
        path: PathBuf,
        /// The prefix.
        prefix: Option<String>,
    },
}

/// A look at a node's values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    /// Where.
    pub from: From,
    /// Names of the tensors.
    pub names: Vec<String>,
}

/// What was asked for last, and its answer.
#[derive(Debug, Clone)]
pub struct Seen {
    /// What was asked for.
    pub look: Look,
    /// The answer, once it is there.
    pub stats: Option<Result<ValueStats, String>>,
}

/// Bytes of two checkpoints that are compared at most.
pub const MOST_COMPARED: u64 = 2 << 30;

/// Two checkpoints of a run, the older one first.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pair {
    /// The run.
    pub run: String,
    /// Folder name of the older one.
    pub before: String,
    /// Folder name of the newer one.
    pub after: String,
}

/// How far something moved.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moved {
    /// Not by a bit.
    Not,
    /// Relative L2 distance; none where there is no number for it.
    By(Option<f64>),
}

/// What was compared last, and what moved, by path of module or parameter; nothing where it could not be read.
#[derive(Debug, Clone)]
pub struct Drifted {
    /// What was compared.
    pub pair: Pair,
    /// Paths.
    pub moved: HashMap<String, Moved>,
}

impl Model {
    /// Where the values of the model on view are, or why there are none.
    pub fn values_from(&self) -> Result<From, String> {
        match self.subject {
            Subject::Draft => {
                let draft = self.draft.as_ref().ok_or("no model is on view")?;
                let weights = draft.recipe.model.weights.as_ref();
                let weights = weights.ok_or("none yet: the recipe begins with random weights")?;
                let path = PathBuf::from(weights);
                match path.is_absolute() {
                    true => Ok(From::File { path, prefix: draft.recipe.model.load.strip_prefix.clone() }),
                    false => Err(format!("of `{weights}`: read when the run starts")),
                }
            }
            Subject::Checkpoint => {
                let past = self.past.as_ref().ok_or("no model is on view")?;
                Ok(From::Checkpoint { run: past.run.clone(), name: past.name.clone() })
            }
            Subject::Run => {
                let view = self.shown().ok_or("no model is on view")?;
                let newest = view.checkpoints.as_ref().and_then(|c| c.last());
                let newest = newest.ok_or("none yet: this run has no checkpoint")?;
                Ok(From::Checkpoint { run: view.id.clone(), name: newest.name.clone() })
            }
        }
    }

    /// The two checkpoints that tell how far the model on view has moved of late: the one on view or the newest, and the one
    /// before it.
    pub fn wanted_pair(&self) -> Option<Pair> {
        let view = self.shown()?;
        let rows = view.checkpoints.as_ref()?;
        let at = match self.subject {
            Subject::Draft => return None,
            Subject::Run => rows.len().checked_sub(1)?,
            Subject::Checkpoint => {
                let past = self.past.as_ref().filter(|p| p.run == view.id)?;
                rows.iter().position(|r| r.name == past.name)?
            }
        };
        let (before, after) = (rows.get(at.checked_sub(1)?)?, rows.get(at)?);
        let pair = Pair { run: view.id.clone(), before: before.name.clone(), after: after.name.clone() };
        (before.bytes + after.bytes <= MOST_COMPARED).then_some(pair)
    }

    /// What moved between the two, once that is known. Until then a run keeps what was known of the pair before, so that no
    /// column comes and goes with every checkpoint of a live one.
    pub fn moved(&self) -> Option<&Drifted> {
        let wanted = self.wanted_pair()?;
        let fits = |of: &Pair| *of == wanted || (self.subject == Subject::Run && of.run == wanted.run);
        self.drifted.as_ref().filter(|d| !d.moved.is_empty() && fits(&d.pair))
    }

    /// How large the gradients of the live run on view are, once it has told.
    pub fn gradients(&self) -> Option<&Gradients> {
        let view = self.shown().filter(|v| self.subject == Subject::Run && v.status.is_live())?;
        view.gradients.as_ref()
    }

    /// The look that the node under the cursor asks for, or why there is none.
    pub fn wanted_look(&self) -> Result<Look, String> {
        let layers = self.layers().ok_or("no model is on view")?;
        let row = layers.selected().ok_or("nothing is under the cursor")?;
        let params = row.node.params.iter().filter_map(|p| layers.tree().parameters.get(*p));
        let bytes: u64 = params.clone().map(|p| p.bytes() as u64).sum();
        if bytes > MOST {
            return Err(format!(
                "{} are too many to be read for a look; go to a part of it",
                super::format::bytes(bytes)
            ));
        }
        let names: Vec<String> = params.map(|p| p.name.clone()).collect();
        match names.is_empty() {
            true => Err("none: it has no parameters".to_owned()),
            false => Ok(Look { from: self.values_from()?, names }),
        }
    }
}

impl Layers {
    /// Bytes of a node's parameters.
    pub fn bytes_under_cursor(&self) -> u64 {
        let params = self.selected().map(|r| r.node.params.clone()).unwrap_or_default();
        params.iter().filter_map(|p| self.tree().parameters.get(*p)).map(|p| p.bytes() as u64).sum()
    }

    /// Class and shape of what is under the cursor, in words: `Conv2d 3->64 3x3`, `[64, 3, 3, 3] float32`.
    pub fn kind_under_cursor(&self) -> String {
        match self.selected().map(|r| r.node.kind) {
            Some(NodeKind::Module(m)) => {
                let info = &self.tree().modules[m];
                let out = info.output_shape.as_ref().map(|s| {
                    let sizes: Vec<String> =
                        s.iter().map(|d| if *d < 0 { "N".to_owned() } else { d.to_string() }).collect();
                    format!(", gives [{}]", sizes.join(", "))
                });
                format!("{} {}{}", info.kind, info.detail, out.unwrap_or_default()).replace(" ,", ",").trim().to_owned()
            }
            Some(NodeKind::Param(p)) => {
                let info = &self.tree().parameters[p];
                format!("{:?} {}", info.shape, info.dtype)
            }
            None => String::new(),
        }
    }
}
