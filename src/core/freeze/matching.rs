//! What a pattern matches in a tree.

use crate::core::tree::{Tree, glob_match, is_glob};

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

/// Finds what a pattern matches, in one pass over modules and one over parameters.
pub(super) fn find(pattern: &Pattern, tree: &Tree) -> Matches {
    match pattern {
        Pattern::Name(name) if name == "**" => everything(tree),
        Pattern::Preset(Preset::All) => everything(tree),
        Pattern::Preset(Preset::None) => Matches::default(),
        Pattern::Name(name) if is_glob(name) => by(
            tree,
            |m| glob_match(name, &tree.modules[m].path) && m > 0,
            |p| glob_match(name, &tree.parameters[p].name),
        ),
        Pattern::Name(name) => by(tree, |m| tree.modules[m].path == *name, |p| tree.parameters[p].name == *name),
        Pattern::Kind(kind) => by(tree, |m| glob_match(kind, &tree.modules[m].kind), |_| false),
        Pattern::Before(path) => beside(tree, path, |m, at| m < at),
        Pattern::After(path) => beside(tree, path, |m, at| m > at),
        Pattern::Preset(Preset::Head) => {
            let head = tree.parameters.iter().map(|p| p.module).max();
            by(tree, |m| Some(m) == head, |p| Some(tree.parameters[p].module) == head)
        }
        Pattern::Preset(Preset::Last(n)) => {
            let blocks = blocks(tree);
            let last = &blocks[blocks.len().saturating_sub(*n)..];
            by(tree, |m| last.contains(&m), |_| false)
        }
        Pattern::Preset(Preset::Biases) => by(tree, |_| false, |p| is_bias(&tree.parameters[p].name)),
        Pattern::Preset(Preset::Norms) => {
            let counts = tree.parameter_counts();
            let mut own = vec![0; tree.modules.len()];
            tree.parameters.iter().for_each(|p| own[p.module] += 1);
            // A container called `PreNorm` holds other layers' parameters and is no norm itself.
            by(tree, |m| tree.modules[m].is_norm() && counts[m] == own[m], |_| false)
        }
    }
}

/// The top-level parts that own parameters, in order; a wrapper with a single such part is looked into.
pub(super) fn blocks(tree: &Tree) -> Vec<usize> {
    let counts = tree.parameter_counts();
    let mut at = 0;
    loop {
        let parts: Vec<_> = tree.children(at).into_iter().filter(|&c| counts[c] > 0).collect();
        match parts[..] {
            [only] if !tree.children(only).is_empty() && counts[only] == counts[at] => at = only,
            _ => return parts,
        }
    }
}

fn everything(tree: &Tree) -> Matches {
    let modules = (0..tree.modules.len() as u32).collect();
    let params = (0..tree.parameters.len() as u32).collect();
    Matches { modules, params, holders: Vec::new() }
}

fn by(tree: &Tree, names_module: impl Fn(usize) -> bool, names_param: impl Fn(usize) -> bool) -> Matches {
    let mut marked: Vec<bool> = (0..tree.modules.len()).map(names_module).collect();
    tree.spread(&mut marked);
    collect(tree, &marked, names_param)
}

/// Everything on one side of a module: not it, not what is below it, not what contains it.
fn beside(tree: &Tree, path: &str, side: impl Fn(usize, usize) -> bool) -> Matches {
    let Some(at) = tree.module(path) else { return Matches::default() };
    let above: Vec<usize> = tree.ancestors(at).collect();
    let mut within = vec![false; tree.modules.len()];
    within[at] = true;
    tree.spread(&mut within);
    let marked: Vec<bool> = (0..tree.modules.len()).map(|m| side(m, at) && !within[m] && !above.contains(&m)).collect();
    collect(tree, &marked, |p| {
        let m = tree.parameters[p].module;
        side(m, at) && !within[m]
    })
}

fn collect(tree: &Tree, marked: &[bool], names_param: impl Fn(usize) -> bool) -> Matches {
    let mut found = Matches::default();
    let mut has_children: Option<Vec<bool>> = None;
    found.modules.extend((0..marked.len()).filter(|&m| marked[m]).map(|m| m as u32));
    for (i, p) in tree.parameters.iter().enumerate() {
        if marked.get(p.module).copied().unwrap_or(false) {
            found.params.push(i as u32);
        } else if names_param(i) {
            found.params.push(i as u32);
            let parents = has_children.get_or_insert_with(|| {
                let mut parents = vec![false; tree.modules.len()];
                tree.modules.iter().filter_map(|m| m.parent).for_each(|p| parents[p] = true);
                parents
            });
            if !parents[p.module] {
                found.holders.push(p.module as u32);
            }
        }
    }
    found.holders.dedup();
    found
}

/// `bias`, `in_proj_bias`, `bias_ih_l0`; not `relative_position_bias_table`, which is a table of weights.
fn is_bias(name: &str) -> bool {
    let leaf = name.rsplit('.').next().unwrap_or(name);
    leaf == "bias" || leaf.ends_with("_bias") || leaf.starts_with("bias_")
}
