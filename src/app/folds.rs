//! What is folded of the layer trees of runs and recipes, from one session to the next: only where it is not as a tree
//! opens by itself, and only of those that were folded last.

use serde::{Deserialize, Deserializer, Serialize};

use super::layers::{Folded, Layers};
use super::model::{Model, Subject};

/// Trees that are remembered; the one that was folded first is forgotten first.
const TREES: usize = 50;

/// The trees, the one that was folded last at the end.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[serde(transparent)]
pub struct Folds(Vec<Tree>);

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
struct Tree {
    /// A run's id, or a recipe's file.
    of: String,
    #[serde(flatten)]
    folded: Folded,
}

impl<'de> Deserialize<'de> for Folds {
    /// What is no such list is none: the rest of what is remembered does not go with it.
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let value = serde_json::Value::deserialize(from)?;
        let mut trees: Vec<Tree> = serde_json::from_value(value).unwrap_or_default();
        trees.drain(..trees.len().saturating_sub(TREES));
        Ok(Self(trees))
    }
}

impl Folds {
    /// Folds a tree as it was left.
    pub fn lay_over(&self, of: &str, layers: &mut Layers) {
        if let Some(tree) = self.0.iter().find(|t| t.of == of) {
            layers.fold_as(&tree.folded);
        }
    }

    /// Remembers how a tree is folded; one that is as it opened needs no place.
    fn keep(&mut self, of: String, folded: Option<Folded>) {
        if self.0.last().is_some_and(|t| t.of == of && Some(&t.folded) == folded.as_ref()) {
            return;
        }
        self.0.retain(|t| t.of != of);
        self.0.extend(folded.map(|folded| Tree { of, folded }));
        self.0.drain(..self.0.len().saturating_sub(TREES));
    }
}

impl Model {
    /// Remembers how the tree on view is folded.
    pub fn keep_folds(&mut self) {
        let of = match self.subject {
            Subject::Draft => self.draft.as_ref().map(|d| d.path.display().to_string()),
            Subject::Run => self.shown.clone(),
            Subject::Checkpoint => self.past.as_ref().map(|p| p.run.clone()),
        };
        if let (Some(of), Some(folded)) = (of, self.layers().map(Layers::folded)) {
            self.folds.keep(of, folded);
        }
    }

    /// A run's layers became known: they are folded as they were left.
    pub fn fold_run(&mut self, run: &str) {
        let folds = std::mem::take(&mut self.folds);
        if let Some(layers) = self.view_mut(run).and_then(|v| v.layers.as_mut()) {
            folds.lay_over(run, layers);
        }
        self.folds = folds;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::sample;

    fn layers() -> Layers {
        Layers::new(sample::tree(), Vec::new()).0
    }

    #[test]
    fn folds_are_remembered_by_name_and_only_where_they_are_not_as_usual() {
        let mut folds = Folds::default();
        let mut tree = layers();
        folds.keep("a".to_owned(), tree.folded());
        assert_eq!(folds, Folds::default(), "a tree as it opens");
        tree.fold_all();
        tree.go(1);
        tree.unfold();
        folds.keep("a".to_owned(), tree.folded());
        assert_eq!(serde_json::to_string(&folds).unwrap(), r#"[{"of":"a","all":true,"but":["conv1"]}]"#);
        let mut again = layers();
        folds.lay_over("b", &mut again);
        assert_eq!(again.folded(), None, "of another run");
        folds.lay_over("a", &mut again);
        let paths = |layers: &Layers| layers.rows().iter().map(|r| r.node.path.clone()).collect::<Vec<_>>();
        assert_eq!(paths(&again), paths(&tree));
        // A large tree opens folded; whole, it is remembered in one word.
        let mut large = Layers::new(sample::large_tree(40), Vec::new()).0;
        assert_eq!(large.folded(), None);
        large.fold_all();
        assert_eq!(large.folded(), Some(Folded { all: false, but: Vec::new() }));
        // As it opened again: forgotten.
        tree.fold_all();
        folds.keep("a".to_owned(), tree.folded());
        assert_eq!(folds, Folds::default());
    }

    #[test]
    fn what_a_filter_folds_is_not_remembered() {
        let mut tree = layers();
        tree.set_filter("conv").unwrap();
        tree.fold();
        assert_eq!(tree.folded(), None);
    }

    #[test]
    fn the_trees_that_were_folded_first_are_forgotten_first() {
        let mut folds = Folds::default();
        let folded = |n: usize| Some(Folded { all: false, but: vec![format!("m{n}")] });
        (0..TREES).for_each(|n| folds.keep(n.to_string(), folded(n)));
        folds.keep("0".to_owned(), folded(7));
        folds.keep("new".to_owned(), folded(8));
        let of: Vec<&str> = folds.0.iter().map(|t| t.of.as_str()).collect();
        assert_eq!((of.len(), of[0], of[TREES - 2], of[TREES - 1]), (TREES, "2", "0", "new"));
        // A file that holds more than that is cut.
        let many: Vec<Tree> = (0..300).map(|n| Tree { of: n.to_string(), ..Tree::default() }).collect();
        let read: Folds = serde_json::from_str(&serde_json::to_string(&many).unwrap()).unwrap();
        assert_eq!((read.0.len(), read.0[0].of.as_str()), (TREES, "250"));
    }

    #[test]
    fn foreign_and_damaged_folds_are_harmless() {
        for text in ["7", "null", "\"x\"", "[1]", r#"[{"of":3}]"#, r#"[{"of":"a","all":"yes"}]"#] {
            assert_eq!(serde_json::from_str::<Folds>(text).unwrap(), Folds::default(), "{text}");
        }
        // Of a tree that has other modules now; parameters cannot be folded.
        let text = r#"[{"of":"a","all":false,"but":["gone","fc.weight","","layer1.0"],"more":1}]"#;
        let folds: Folds = serde_json::from_str(text).unwrap();
        let mut tree = layers();
        folds.lay_over("a", &mut tree);
        assert_eq!(tree.folded().unwrap().but, ["", "layer1.0"]);
        assert_eq!(tree.rows().len(), 1, "the root is folded");
    }
}
