//! The recipe that a fork begins with.

use crate::core::checkpoint::TrainState;
use crate::core::recipe::{FreezeSchedule, LoadSpec, Recipe};

/// The recipe of a run as it was in force at one of its checkpoints, for a new run that begins with the checkpoint's weights: `label` names it.
#[must_use]
pub fn forked(mut recipe: Recipe, state: &TrainState, label: &str) -> Recipe {
    recipe.freeze.rules.clone_from(&state.freeze_rules);
    // The plan in force is the outcome of the parent's schedule; its times would make no sense in another run.
    recipe.freeze.schedule = FreezeSchedule::default();
    recipe.optimizer.lr = state.base_lr;
    recipe.model.weights = Some(label.to_owned());
    recipe.model.load = LoadSpec::default();
    // Somebody's judgement of the parent, which nobody has made of the fork yet.
    recipe.note.clear();
    recipe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fork_keeps_tags_and_begins_without_a_note() {
        let recipe = Recipe { tags: vec!["flowers".into()], note: "the best so far".into(), ..Recipe::default() };
        let fork = forked(recipe, &TrainState::default(), "20261125-014503-k3f9@120");
        assert_eq!((fork.tags, fork.note.as_str()), (vec!["flowers".to_owned()], ""));
    }
}
