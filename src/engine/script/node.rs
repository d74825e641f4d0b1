//! The nodes of a script: the root runs its forward, those below share its tensors and say what they are.

use tch::Tensor;

use super::detail::Layer;
use super::facts::{Facts, Module};
use crate::engine::api::EngineError;
use crate::engine::ffi::script::{Modes, Script};
use crate::engine::nn::{Cx, NnError, Node, Op, Result, Slot, Traced};

/// Makes the tree; takes the script over.
pub fn tree(script: Script, facts: Facts) -> std::result::Result<Node, EngineError> {
    let parents: Vec<Option<usize>> = facts.modules.iter().map(|m| usize::try_from(m.parent).ok()).collect();
    let mut children: Vec<Vec<usize>> = vec![Vec::new(); parents.len()];
    for (id, parent) in parents.iter().enumerate() {
        if let Some(siblings) = parent.and_then(|p| children.get_mut(p)) {
            siblings.push(id);
        }
    }
    let mut pieces = Vec::with_capacity(parents.len());
    for (id, module) in facts.modules.into_iter().enumerate() {
        pieces.push(Some(piece(&script, id, module)?));
    }
    let assembled = assemble(0, &mut pieces, &children).map(|(node, part)| (node.finish(), part));
    let Some((mut root, part)) = assembled.filter(|_| pieces.iter().all(Option::is_none)) else {
        return Err(EngineError::Failed("the modules of a TorchScript model are no tree; this is a bug".to_owned()));
    };
    root.op = Box::new(Whole { script, part, parents });
    Ok(root)
}

struct Piece {
    name: String,
    part: Part,
    slots: Vec<Slot>,
}

fn piece(script: &Script, id: usize, module: Module) -> std::result::Result<Piece, EngineError> {
    let mut slots = Vec::new();
    for (names, parameter) in [(&module.parameters, true), (&module.buffers, false)] {
        for name in names {
            let tensor = script.tensor(id, name)?;
            let tensor = if parameter { tensor.f_set_requires_grad(true)? } else { tensor };
            slots.push(Slot { name: name.clone().into(), tensor, parameter });
        }
    }
    let weight = slots.iter().find(|s| s.name == "weight").map(|s| s.tensor.size());
    let layer = Layer::of(&module, weight.as_deref());
    Ok(Piece { name: module.name, part: Part { kind: module.class, layer }, slots })
}

fn assemble(id: usize, pieces: &mut [Option<Piece>], children: &[Vec<usize>]) -> Option<(Node, Part)> {
    let Piece { name, part, slots } = pieces.get_mut(id)?.take()?;
    let mut below = Vec::new();
    for &child in children.get(id)? {
        below.push(assemble(child, pieces, children)?.0);
    }
    let op = Box::new(part.clone());
    Some((Node { name, path: String::new(), id: 0, op, children: below, slots }, part))
}

/// A module of a script. Its forward is run by the script.
#[derive(Clone)]
struct Part {
    kind: String,
    layer: Layer,
}

impl Op for Part {
    fn kind(&self) -> &str {
        &self.kind
    }
    fn detail(&self) -> String {
        self.layer.detail.clone()
    }
    fn forward(&self, node: &Node, _: &Tensor, _: &Cx<'_>) -> Result<Tensor> {
        Err(NnError(format!("module `{}` of a script cannot be run by itself; this is a bug", node.path)))
    }
    fn flops(&self, input: &[i64], output: &[i64]) -> u64 {
        self.layer.flops(input, output)
    }
}

/// The script.
struct Whole {
    script: Script,
    part: Part,
    parents: Vec<Option<usize>>,
}

impl Whole {
    /// Notes what went through the modules; the root's is noted by [`Node::forward`].
    fn trace(node: &Node, seen: &str, traced: &mut Vec<Traced>) -> Result<()> {
        let mut nodes = Vec::new();
        node.walk(&mut |n, _| nodes.push(n));
        let seen: Vec<(usize, Vec<i64>, Vec<i64>)> =
            serde_json::from_str(seen).map_err(|e| NnError(format!("the sizes in a script: {e}; this is a bug")))?;
        for (id, input, output) in seen {
            // What gives no tensor has no shape.
            if let Some(module) = nodes.get(id).filter(|n| n.id != node.id && !output.is_empty()) {
                let flops = module.op.flops(&input, &output);
                traced.push(Traced { id, input, output, flops });
            }
        }
        Ok(())
    }
}

impl Op for Whole {
    fn kind(&self) -> &str {
        self.part.kind()
    }
    fn detail(&self) -> String {
        self.part.detail()
    }
    fn flops(&self, input: &[i64], output: &[i64]) -> u64 {
        self.part.flops(input, output)
    }
    fn forward(&self, node: &Node, x: &Tensor, cx: &Cx<'_>) -> Result<Tensor> {
        let flag = |flags: &[bool], id: usize| flags.get(id).copied().unwrap_or(false);
        let training: Vec<bool> = (0..self.parents.len()).map(|id| cx.train && !flag(cx.eval, id)).collect();
        // The plan names the outermost modules alone, and one without a forward of its own (nn.ModuleList) is never run.
        let mut no_grad: Vec<bool> = Vec::with_capacity(self.parents.len());
        for (id, parent) in self.parents.iter().enumerate() {
            no_grad.push(flag(cx.no_grad, id) || parent.is_some_and(|p| flag(&no_grad, p)));
        }
        let modes = Modes { training: &training, no_grad: &no_grad };
        let own = cx.train.then_some(cx.generator);
        let (y, seen) = self.script.forward(x, modes, own, cx.trace.is_some())?;
        if let (Some(trace), Some(seen)) = (cx.trace, seen) {
            Self::trace(node, &seen, &mut trace.borrow_mut())?;
        }
        Ok(y)
    }
}
