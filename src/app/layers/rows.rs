//! Nodes of the tree and the rows that are visible.

use crate::core::freeze::ParamState;
use crate::core::tree::Tree;

use super::Layers;

/// A module or a parameter, in the order in which they are shown.
#[derive(Debug, Clone, PartialEq)]
pub struct Node {
    /// What it is.
    pub kind: NodeKind,
    /// Dotted path; empty for the root.
    pub path: String,
    /// Last part of the path; the model's class for the root.
    pub label: String,
    /// Levels below the root.
    pub depth: usize,
    /// The node above.
    pub parent: Option<usize>,
    /// Whether something is below it.
    pub has_children: bool,
    /// Parameters in it, as indices of the tree.
    pub params: Vec<usize>,
}

/// What a node stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// Index in `Tree::modules`.
    Module(usize),
    /// Index in `Tree::parameters`.
    Param(usize),
}

/// State of a node: of its parameter, or of all parameters in a module.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// A module without parameters.
    Empty,
    /// All are in this state.
    All(ParamState),
    /// Some learn, some do not.
    Mixed,
}

/// One visible line.
#[derive(Debug, Clone, PartialEq)]
pub struct Row<'a> {
    /// Index of the node.
    pub index: usize,
    /// The node.
    pub node: &'a Node,
    /// Whether its children are hidden.
    pub folded: bool,
    /// State with the staged edits.
    pub state: NodeState,
    /// State now in force.
    pub in_force: NodeState,
    /// Whether a staged edit changes something in it.
    pub staged: bool,
    /// Whether its forward records no gradients, or would not with the staged edits.
    pub no_grad: bool,
    /// Whether the filter in force matches it itself.
    pub matched: bool,
    /// Elements in it.
    pub elements: u64,
    /// Elements that learn.
    pub trainable: u64,
}

/// Flattens a tree: each module, then its own parameters, then its children.
pub fn nodes(tree: &Tree) -> Vec<Node> {
    let mut children = vec![Vec::new(); tree.modules.len()];
    for (i, module) in tree.modules.iter().enumerate() {
        if let Some(list) = module.parent.and_then(|p| children.get_mut(p)) {
            list.push(i);
        }
    }
    let mut own = vec![Vec::new(); tree.modules.len()];
    for (i, param) in tree.parameters.iter().enumerate() {
        if let Some(list) = own.get_mut(param.module) {
            list.push(i);
        }
    }
    let mut nodes = Vec::new();
    if !tree.modules.is_empty() {
        visit(tree, &children, &own, 0, None, 0, &mut nodes);
    }
    nodes
}

fn visit(
    tree: &Tree,
    children: &[Vec<usize>],
    own: &[Vec<usize>],
    module: usize,
    parent: Option<usize>,
    depth: usize,
    nodes: &mut Vec<Node>,
) -> Vec<usize> {
    let info = &tree.modules[module];
    let at = nodes.len();
    nodes.push(Node {
        kind: NodeKind::Module(module),
        path: info.path.clone(),
        label: if info.path.is_empty() { info.kind.clone() } else { last(&info.path) },
        depth,
        parent,
        has_children: !children[module].is_empty() || !own[module].is_empty(),
        params: Vec::new(),
    });
    let mut params = own[module].clone();
    for &p in &own[module] {
        let name = &tree.parameters[p].name;
        nodes.push(Node {
            kind: NodeKind::Param(p),
            path: name.clone(),
            label: last(name),
            depth: depth + 1,
            parent: Some(at),
            has_children: false,
            params: vec![p],
        });
    }
    for &child in &children[module] {
        params.extend(visit(tree, children, own, child, Some(at), depth + 1, nodes));
    }
    nodes[at].params.clone_from(&params);
    params
}

fn last(path: &str) -> String {
    path.rsplit('.').next().unwrap_or(path).to_owned()
}

impl Layers {
    /// Indices of the nodes that are visible, in order.
    pub fn visible(&self) -> Vec<usize> {
        let mut shown = Vec::new();
        let mut hidden_below: Option<usize> = None;
        for (index, node) in self.nodes.iter().enumerate() {
            if hidden_below.is_some_and(|depth| node.depth > depth) || !self.is_kept(index) {
                continue;
            }
            hidden_below = self.folded.contains(&index).then_some(node.depth);
            shown.push(index);
        }
        shown
    }

    /// The line of a node.
    pub fn row_of(&self, index: usize) -> Option<Row<'_>> {
        let node = self.nodes.get(index)?;
        Some(self.row(index, node, self.folded.contains(&index)))
    }

    /// The visible lines.
    pub fn rows(&self) -> Vec<Row<'_>> {
        self.visible().into_iter().filter_map(|i| self.row_of(i)).collect()
    }

    pub(super) fn row<'a>(&'a self, index: usize, node: &'a Node, folded: bool) -> Row<'a> {
        let count = |p: &usize| self.tree.parameters[*p].count() as u64;
        let learns = |p: &&usize| self.preview.state(**p) == Some(ParamState::Trainable);
        Row {
            index,
            node,
            folded,
            state: summary(node.params.iter().filter_map(|p| self.preview.state(*p))),
            in_force: summary(node.params.iter().filter_map(|p| self.base.state(*p))),
            staged: node.params.iter().any(|p| self.is_staged(*p)),
            no_grad: matches!(node.kind, NodeKind::Module(m) if self.is_under_no_grad(m)),
            matched: self.filter.as_ref().is_some_and(|f| f.matches.binary_search(&index).is_ok()),
            elements: node.params.iter().map(count).sum(),
            trainable: node.params.iter().filter(learns).map(count).sum(),
        }
    }

    fn is_under_no_grad(&self, module: usize) -> bool {
        let outer = &self.preview.no_grad_modules;
        !outer.is_empty() && (outer.contains(&module) || self.tree.ancestors(module).any(|a| outer.contains(&a)))
    }

    /// The node under the cursor.
    pub fn selected(&self) -> Option<Row<'_>> {
        self.row_of(self.cursor)
    }

    /// Why the selected node is as it is; for a module, the reason of its first parameter that differs from the rest
    /// is not told, only what all share.
    pub fn reason(&self) -> Option<String> {
        match self.reasons().as_slice() {
            [] => None,
            [one] => Some(one.clone()),
            [first, rest @ ..] => Some(format!("{first} … and {} more", rest.len())),
        }
    }

    /// The reasons of the parameters in the selected node, each once.
    pub fn reasons(&self) -> Vec<String> {
        let mut reasons: Vec<&str> = Vec::new();
        for p in self.nodes.get(self.cursor).map_or(&[][..], |n| &n.params) {
            let reason = self.preview.params.get(*p).map_or("", |r| &*r.reason);
            if !reasons.contains(&reason) {
                reasons.push(reason);
            }
        }
        reasons.into_iter().map(str::to_owned).collect()
    }

    /// Position of the cursor among the visible rows, and their number.
    pub fn position(&self) -> (usize, usize) {
        let shown = self.visible();
        (shown.iter().position(|i| *i == self.cursor).unwrap_or(0), shown.len())
    }

    /// Moves the cursor by visible rows.
    pub fn go(&mut self, by: isize) {
        let rows = self.visible();
        let at = rows.iter().position(|i| *i == self.cursor).unwrap_or(0);
        let to = at.saturating_add_signed(by).min(rows.len().saturating_sub(1));
        self.cursor = rows.get(to).copied().unwrap_or(0);
    }

    /// Folds the module under the cursor; on a folded one or a parameter, goes to what is above.
    pub fn fold(&mut self) {
        let Some(node) = self.nodes.get(self.cursor) else { return };
        if node.has_children && !self.folded.contains(&self.cursor) {
            self.folded.insert(self.cursor);
        } else if let Some(parent) = node.parent {
            self.cursor = parent;
        }
    }

    /// Unfolds the module under the cursor; on an open one, goes to its first child.
    pub fn unfold(&mut self) {
        let has_children = self.nodes.get(self.cursor).is_some_and(|n| n.has_children);
        if !self.folded.remove(&self.cursor)
            && has_children
            && let Some(first) = self.visible().into_iter().find(|i| *i > self.cursor)
        {
            self.cursor = first;
        }
    }

    /// Folds an open module, opens a folded one.
    pub fn toggle_fold(&mut self) {
        if !self.folded.remove(&self.cursor) && self.nodes.get(self.cursor).is_some_and(|n| n.has_children) {
            self.folded.insert(self.cursor);
        }
    }

    /// Unfolds everything, or folds everything below the root when all is open.
    pub fn fold_all(&mut self) {
        if self.folded.is_empty() {
            self.folded = self.all_folds();
            while let Some(parent) = self.nodes.get(self.cursor).filter(|n| n.depth > 1).and_then(|n| n.parent) {
                self.cursor = parent;
            }
        } else {
            self.folded.clear();
        }
    }

    /// Goes to the next parameter that a staged edit changes, unfolding down to it; false when nothing is staged.
    pub fn next_staged(&mut self) -> bool {
        let n = self.nodes.len();
        let staged = |i: &usize| matches!(self.nodes[*i].kind, NodeKind::Param(p) if self.is_staged(p));
        let Some(found) = (1..=n).map(|k| (self.cursor + k) % n.max(1)).find(staged) else { return false };
        self.go_to(found);
        true
    }

    /// Puts the cursor on a node, wherever it hides.
    fn go_to(&mut self, node: usize) {
        if !self.is_kept(node) {
            let _ = self.set_filter("");
        }
        self.cursor = node;
        self.unfold_to(node);
    }

    /// Unfolds all that is above a node.
    pub(super) fn unfold_to(&mut self, node: usize) {
        let mut above = self.nodes.get(node).and_then(|n| n.parent);
        while let Some(at) = above {
            self.folded.remove(&at);
            above = self.nodes.get(at).and_then(|n| n.parent);
        }
    }
}

fn summary(mut states: impl Iterator<Item = ParamState>) -> NodeState {
    let Some(first) = states.next() else { return NodeState::Empty };
    if states.all(|s| s == first) { NodeState::All(first) } else { NodeState::Mixed }
}
