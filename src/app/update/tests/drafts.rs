//! From a recipe to a draft, and from a draft to a run.

use super::*;

#[test]
fn a_recipe_becomes_a_draft_whose_edits_are_its_rules_at_the_start() {
    let mut model = model();
    assert_eq!(keys(&mut model, "n"), [Effect::ListRecipes]);
    let entry = |name: &str, summary: Result<&str, &str>| RecipeEntry {
        path: name.into(),
        summary: summary.map(str::to_owned).map_err(str::to_owned),
    };
    update(&mut model, Message::Recipes(vec![entry("a.toml", Err("a.toml:3: bad")), entry("b.toml", Ok("mlp"))]));
    assert_eq!(keys(&mut model, "enter"), [], "a broken recipe shows what is wrong");
    assert!(matches!(model.overlays.last(), Some(Overlay::Text { lines, .. }) if lines[0].contains("a.toml:3")));
    assert_eq!(keys(&mut model, "esc j enter"), [Effect::OpenDraft("b.toml".into())]);
    assert_eq!(model.busy, Some(Busy::Draft("b.toml".into())));

    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze conv1".to_owned()];
    let ready = DraftReady { path: "b.toml".into(), recipe, tree: sample::tree(), checksum: String::new(), kept: None };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    assert_eq!((model.screen, model.busy.clone()), (Screen::Model, None));
    // The module under the cursor is the root, which is mixed: it is trained whole, then frozen whole.
    keys(&mut model, "space space");
    assert_eq!(keys(&mut model, "t"), [], "nothing would learn");
    assert!(said(&model).contains("nothing would learn"));
    keys(&mut model, "G k k space");
    let effects = keys(&mut model, "t");
    let [Effect::Start(StartJob::Fresh(recipe))] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!(recipe.freeze.rules, ["freeze conv1", "freeze **", "train fc"]);
    assert_eq!(keys(&mut model, "t"), [], "it is being started already");
}

#[test]
fn a_started_run_is_hosted_and_on_view() {
    let model = hosting();
    assert_eq!((model.screen, model.hosted.is_some(), model.draft.is_none()), (Screen::Train, true, true));
    assert_eq!(model.shown().unwrap().status, RunStatus::Running);
}

#[test]
fn a_start_that_fails_leaves_the_draft_and_says_why() {
    let mut model = model();
    let ready = DraftReady {
        path: "b.toml".into(),
        recipe: Recipe::default(),
        tree: sample::tree(),
        checksum: String::new(),
        kept: None,
    };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    model.screen = Screen::Model;
    keys(&mut model, "t");
    update(&mut model, Message::Started(Err("b.toml: data.path: no such folder".to_owned())));
    assert!(model.draft.is_some() && model.busy.is_none());
    assert!(said(&model).contains("no such folder"));
}

#[test]
fn long_errors_are_a_text_to_read() {
    let mut model = model();
    update(&mut model, Message::Draft(Err("a.toml:1: one\na.toml:2: two".to_owned())));
    assert!(matches!(model.overlays.last(), Some(Overlay::Text { lines, .. }) if lines.len() == 2));
}

#[test]
fn a_recipe_whose_rules_fit_nothing_is_no_draft() {
    let mut model = model();
    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze nowhere".to_owned()];
    let ready = DraftReady { path: "b.toml".into(), recipe, tree: sample::tree(), checksum: String::new(), kept: None };
    update(&mut model, Message::Draft(Ok(Box::new(ready))));
    assert!(model.draft.is_none());
    assert!(said(&model).contains("b.toml") && said(&model).contains("nowhere"), "{}", said(&model));
}
