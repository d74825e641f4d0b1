//! A tree's structure in a few dense arrays: what resolving walks over, many times faster than the descriptions themselves.

use crate::core::tree::Tree;

/// Neither a module nor a rule.
pub(super) const NONE: u32 = u32::MAX;

/// Parents and owners by index, and names in order where many are looked up.
#[derive(Debug)]
pub(super) struct Index {
    /// Each module's parent; [`NONE`] for the root.
    pub parents: Vec<u32>,
    /// Each parameter's module.
    pub owners: Vec<u32>,
    /// Parameters and modules sorted by name.
    names: Option<(Vec<u32>, Vec<u32>)>,
}

impl Index {
    /// For one use.
    pub fn new(tree: &Tree) -> Self {
        let parent = |(i, parent): (usize, Option<usize>)| parent.filter(|&p| p < i).map_or(NONE, |p| p as u32);
        Self {
            parents: tree.modules.iter().map(|m| m.parent).enumerate().map(parent).collect(),
            owners: tree.parameters.iter().map(|p| p.module as u32).collect(),
            names: None,
        }
    }

    /// For many uses: names are sorted too.
    pub fn with_names(tree: &Tree) -> Self {
        let mut params: Vec<u32> = (0..tree.parameters.len() as u32).collect();
        params.sort_unstable_by_key(|&i| tree.parameters[i as usize].name.as_str());
        let mut modules: Vec<u32> = (0..tree.modules.len() as u32).collect();
        modules.sort_unstable_by_key(|&i| tree.modules[i as usize].path.as_str());
        Self { names: Some((params, modules)), ..Self::new(tree) }
    }

    /// Index of a parameter.
    pub fn parameter(&self, tree: &Tree, name: &str) -> Option<usize> {
        match &self.names {
            None => tree.parameter(name),
            Some((params, _)) => search(params, name, |i| &tree.parameters[i].name),
        }
    }

    /// Index of a module.
    pub fn module(&self, tree: &Tree, path: &str) -> Option<usize> {
        match &self.names {
            None => tree.module(path),
            Some((_, modules)) => search(modules, path, |i| &tree.modules[i].path),
        }
    }

    /// Spreads marks to everything below (parents come before children).
    pub fn spread(&self, marked: &mut [bool]) {
        for (i, &parent) in self.parents.iter().enumerate() {
            marked[i] |= parent != NONE && marked[parent as usize];
        }
    }

    /// Whether a module contains others.
    pub fn has_children(&self, module: usize) -> bool {
        self.parents.contains(&(module as u32))
    }
}

fn search<'t>(sorted: &[u32], name: &str, of: impl Fn(usize) -> &'t String) -> Option<usize> {
    let at = sorted.binary_search_by(|&i| of(i as usize).as_str().cmp(name)).ok()?;
    sorted.get(at).map(|&i| i as usize)
}
