//! What a pattern matches in a tree.

use crate::core::tree::{Tree, glob_match, is_glob};

use super::index::{Index, NONE};
use super::{Pattern, Preset};

/// Modules and parameters that a pattern matches. A matched module brings everything below it.
#[derive(Debug, Default)]
pub(super) struct Matches {
    /// Indices of the modules, those below a named one included; ascending.
    pub modules: Vec<u32>,
    /// Indices of the parameters, those of matched modules included; ascending.
    pub params: Vec<u32>,
    /// Modules that hold a parameter that was matched by its own name, for `no_grad`: those without child modules.
    pub holders: Vec<u32>,
}

impl Matches {
    pub fn is_empty(&self) -> bool {
        self.modules.is_empty() && self.params.is_empty()
    }
}

impl Pattern {
    /// Indices of the parameters that it matches, ascending; a matched module means everything below it.
    pub fn parameters(&self, tree: &Tree) -> Vec<usize> {
        find(self, tree, &Index::new(tree)).params.into_iter().map(|p| p as usize).collect()
    }
}

/// Finds what a pattern matches, in one pass over modules and one over parameters at most.
pub(super) fn find(pattern: &Pattern, tree: &Tree, index: &Index) -> Matches {
    let modules = &tree.modules;
    let by = |names_module: &dyn Fn(usize) -> bool, names_param: &dyn Fn(usize) -> bool| {
        let mut marked: Vec<bool> = (0..modules.len()).map(names_module).collect();
        index.spread(&mut marked);
        collect(index, &marked, names_param)
    };
    let owners = &index.owners;
    match pattern {
        Pattern::Name(name) if name == "**" => everything(tree),
        Pattern::Preset(Preset::All) => everything(tree),
        Pattern::Preset(Preset::None) => Matches::default(),
        Pattern::Name(name) if is_glob(name) => {
            by(&|m| m > 0 && glob_match(name, &modules[m].path), &|p| glob_match(name, &tree.parameters[p].name))
        }
        Pattern::Name(name) => {
            let (module, param) = (index.module(tree, name), index.parameter(tree, name));
            match module.is_none() && param.is_none() {
                true => Matches::default(),
                false => by(&|m| Some(m) == module, &|p| Some(p) == param),
            }
        }
        Pattern::Kind(kind) => by(&|m| glob_match(kind, &modules[m].kind), &|_| false),
        Pattern::Before(path) => beside(tree, index, path, |m, at| m < at),
        Pattern::After(path) => beside(tree, index, path, |m, at| m > at),
        Pattern::Preset(Preset::Head) => {
            let head = owners.iter().max().copied();
            by(&|m| Some(m as u32) == head, &|_| false)
        }
        Pattern::Preset(Preset::Last(n)) => {
            let blocks = blocks(tree);
            let last = &blocks[blocks.len().saturating_sub(*n)..];
            by(&|m| last.contains(&m), &|_| false)
        }
        Pattern::Preset(Preset::Biases) => by(&|_| false, &|p| is_bias(&tree.parameters[p].name)),
        Pattern::Preset(Preset::Norms) => {
            let counts = tree.parameter_counts();
            let mut own = vec![0; modules.len()];
            owners.iter().for_each(|&m| own[m as usize] += 1);
            // A container called `PreNorm` holds other layers' parameters and is no norm itself.
            by(&|m| modules[m].is_norm() && counts[m] == own[m], &|_| false)
        }
    }
}

/// What holds a model's blocks by the habit of torchvision and others, and is none itself.
const BODIES: [&str; 5] = ["backbone", "blocks", "encoder", "features", "layers"];

/// The parts that own parameters, in order, by index: those at the top, where a wrapper with a single such part is looked into, as are
/// `BODIES`. What `preset:last:N` counts.
pub fn blocks(tree: &Tree) -> Vec<usize> {
    let counts = tree.parameter_counts();
    let parts = |of: usize| tree.children(of).into_iter().filter(|&c| counts[c] > 0).collect::<Vec<_>>();
    let mut at = 0;
    loop {
        let inside = parts(at);
        match inside[..] {
            [only] if !tree.children(only).is_empty() && counts[only] == counts[at] => at = only,
            _ => return inside.into_iter().flat_map(|part| opened(tree, &parts, part)).collect(),
        }
    }
}

fn opened(tree: &Tree, parts: &dyn Fn(usize) -> Vec<usize>, part: usize) -> Vec<usize> {
    let inside = if BODIES.contains(&tree.modules[part].name()) { parts(part) } else { Vec::new() };
    if inside.is_empty() { vec![part] } else { inside.into_iter().flat_map(|p| opened(tree, parts, p)).collect() }
}

fn everything(tree: &Tree) -> Matches {
    let modules = (0..tree.modules.len() as u32).collect();
    let params = (0..tree.parameters.len() as u32).collect();
    Matches { modules, params, holders: Vec::new() }
}

/// Everything on one side of a module: not it, not what is below it, not what contains it.
fn beside(tree: &Tree, index: &Index, path: &str, side: impl Fn(usize, usize) -> bool) -> Matches {
    let Some(at) = index.module(tree, path) else { return Matches::default() };
    let above: Vec<usize> = tree.ancestors(at).collect();
    let mut within = vec![false; tree.modules.len()];
    within[at] = true;
    index.spread(&mut within);
    let beside = |m: usize| side(m, at) && !within[m];
    let marked: Vec<bool> = (0..tree.modules.len()).map(|m| beside(m) && !above.contains(&m)).collect();
    collect(index, &marked, |p| beside(index.owners[p] as usize))
}

fn collect(index: &Index, marked: &[bool], names_param: impl Fn(usize) -> bool) -> Matches {
    let mut found = Matches::default();
    found.modules.extend((0..marked.len()).filter(|&m| marked[m]).map(|m| m as u32));
    for (p, &owner) in index.owners.iter().enumerate() {
        let whole = marked[owner as usize];
        if whole || names_param(p) {
            found.params.push(p as u32);
            if !whole && found.holders.last() != Some(&owner) {
                found.holders.push(owner);
            }
        }
    }
    if !found.holders.is_empty() {
        let mut contains_others = vec![false; marked.len()];
        index.parents.iter().filter(|&&p| p != NONE).for_each(|&p| contains_others[p as usize] = true);
        found.holders.retain(|&m| !contains_others[m as usize]);
    }
    found
}

/// `bias`, `in_proj_bias`, `bias_ih_l0`; not `relative_position_bias_table`, which is a table of weights.
fn is_bias(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    leaf == "bias" || leaf.ends_with("_bias") || leaf.starts_with("bias_")
}
