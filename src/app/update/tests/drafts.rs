//! From a recipe to a draft, and from a draft to a run.

use super::*;

#[test]
fn values_of_a_drafts_recipe_are_changed_in_a_form_and_the_draft_is_read_again() {
    let mut model = model();
    open_draft(&mut model, "a.toml", Recipe::default());
    keys(&mut model, "2");
    assert_eq!(keys(&mut model, "e"), [Effect::ReadRecipe("a.toml".into())]);
    let text = "[model]\narch = \"mlp\"\n[data]\nsource = \"digits\"\n[train]\nepochs = 3 # few\n".to_owned();
    let read = Message::RecipeText { path: "a.toml".into(), result: Ok((text.clone(), "sum".to_owned())) };
    update(&mut model, read);
    assert_eq!(model.place(), Place::Form);
    for _ in 0..20 {
        let Some(Overlay::Form(form)) = model.overlays.last() else { panic!() };
        if form.fields[form.cursor].label == "epochs" {
            break;
        }
        keys(&mut model, "tab");
    }
    keys(&mut model, "backspace 8");
    let effects = keys(&mut model, "enter");
    let [Effect::WriteRecipe(job)] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((job.text.clone(), job.checksum.as_deref()), (text.replace("= 3", "= 8"), Some("sum")));
    let written = Message::RecipeWritten { asked: "a.toml".into(), result: Ok("a.toml".into()) };
    assert_eq!(update(&mut model, written), [Effect::OpenDraft("a.toml".into())]);
    // A run's recipe is its own.
    let mut run = hosting();
    keys(&mut run, "2");
    assert_eq!(keys(&mut run, "e"), []);
    assert!(said(&run).contains("only a draft's recipe"), "{}", said(&run));
}

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
    assert_eq!(model.busy, Busy { building: Some("b.toml".into()), ..Busy::default() });

    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze conv1".to_owned()];
    open_draft(&mut model, "b.toml", recipe);
    assert_eq!((model.screen, model.busy.is_idle()), (Screen::Model, true));
    // The module under the cursor is the root, which is mixed: it is trained whole, then frozen whole.
    keys(&mut model, "space space");
    assert_eq!(keys(&mut model, "t"), [], "nothing would learn");
    assert!(said(&model).contains("nothing would learn"));
    keys(&mut model, "G k k space");
    let effects = keys(&mut model, "t");
    let [Effect::Start(StartJob::Fresh { recipe, .. })] = effects.as_slice() else { panic!("{effects:?}") };
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
    open_draft(&mut model, "b.toml", Recipe::default());
    model.screen = Screen::Model;
    keys(&mut model, "t");
    update(&mut model, Message::Started(Err("b.toml: data.path: no such folder".to_owned())));
    assert!(model.draft.is_some() && model.busy.is_idle());
    assert!(said(&model).contains("no such folder"));
}

#[test]
fn long_errors_are_a_text_to_read() {
    let mut model = model();
    model.busy.building = Some("a.toml".into());
    let result = Err("a.toml:1: one\na.toml:2: two".to_owned());
    update(&mut model, Message::Draft { path: "a.toml".into(), result });
    assert!(matches!(model.overlays.last(), Some(Overlay::Text { lines, .. }) if lines.len() == 2));
}

#[test]
fn a_recipe_whose_rules_fit_nothing_is_no_draft() {
    let mut model = model();
    let mut recipe = Recipe::default();
    recipe.freeze.rules = vec!["freeze nowhere".to_owned()];
    open_draft(&mut model, "b.toml", recipe);
    assert!(model.draft.is_none());
    assert!(said(&model).contains("b.toml") && said(&model).contains("nowhere"), "{}", said(&model));
}

fn started() -> Message {
    let started = StartedRun { opened: sample::opened(7, RunStatus::Running, 0), tree: sample::tree() };
    Message::Started(Ok(Box::new(started)))
}

#[test]
fn a_started_run_takes_the_draft_it_came_from_and_no_other() {
    let mut model = model();
    open_draft(&mut model, "a.toml", Recipe::default());
    model.screen = Screen::Model;
    keys(&mut model, "t");
    let (mut opened, mut edited) = (model.clone(), model.clone());
    update(&mut model, started());
    assert_eq!((model.draft.is_none(), model.screen), (true, Screen::Train));
    // One that was opened meanwhile stays, and the user with it.
    open_draft(&mut opened, "b.toml", Recipe::default());
    update(&mut opened, started());
    assert_eq!(opened.draft.as_ref().unwrap().path.to_str(), Some("b.toml"));
    assert_eq!((opened.screen, opened.subject, opened.hosted.is_some()), (Screen::Model, Subject::Draft, true));
    assert!(said(&opened).contains("`4` shows it"), "{}", said(&opened));
    // So does one that was edited after it was sent: the run has not got these edits.
    keys(&mut edited, "g j space");
    let effects = update(&mut edited, started());
    assert!(!effects.iter().any(|e| matches!(e, Effect::ForgetDraft(_))), "{effects:?}");
    assert_eq!(edited.draft.as_ref().unwrap().layers.staged(), ["freeze conv1"]);
    // A run that goes on came from none.
    let mut resumed = self::model();
    open_draft(&mut resumed, "a.toml", Recipe::default());
    keys(&mut resumed, "r");
    update(&mut resumed, started());
    assert_eq!((resumed.draft.is_some(), resumed.screen), (true, Screen::Train));
}

#[test]
fn of_several_recipes_the_one_that_was_opened_last_counts_and_each_once() {
    let mut model = model();
    let ready = || {
        let ready = DraftReady { recipe: Recipe::default(), tree: sample::tree(), checksum: String::new(), kept: None };
        Ok(Box::new(ready))
    };
    model.busy.building = Some("b.toml".into());
    update(&mut model, Message::Draft { path: "a.toml".into(), result: Err("a.toml: no model".to_owned()) });
    update(&mut model, Message::Draft { path: "a.toml".into(), result: ready() });
    assert!(model.draft.is_none() && model.busy.building.is_some() && model.toasts.is_empty());
    update(&mut model, Message::Draft { path: "b.toml".into(), result: ready() });
    model.screen = Screen::Model;
    keys(&mut model, "g j space");
    update(&mut model, Message::Draft { path: "b.toml".into(), result: ready() });
    assert_eq!(model.layers().unwrap().staged(), ["freeze conv1"], "an answer that comes twice loses no edit");
}

/// Found by use: the workbench said to open a changed recipe again, and then kept to the text that it had read before.
#[test]
fn a_recipe_that_is_opened_again_is_read_again_and_takes_the_edits_up() {
    let mut model = model();
    open_draft(&mut model, "a.toml", Recipe::default());
    model.screen = Screen::Model;
    keys(&mut model, "g j space");
    let again = |model: &mut Model, checksum: &str, epochs: u64| {
        model.screen = Screen::Runs;
        keys(model, "n");
        let entry = RecipeEntry { path: "a.toml".into(), summary: Ok("mlp".to_owned()) };
        update(model, Message::Recipes(vec![entry]));
        assert_eq!(keys(model, "enter"), [Effect::OpenDraft("a.toml".into())]);
        assert_eq!(keys(model, "t"), [], "what is on view is not what was asked for");
        let mut recipe = Recipe::default();
        recipe.train.epochs = Some(epochs);
        let checksum = checksum.to_owned();
        let ready = DraftReady { recipe, tree: sample::tree(), checksum, kept: None };
        update(model, Message::Draft { path: "a.toml".into(), result: Ok(Box::new(ready)) });
    };
    again(&mut model, "", 7);
    let draft = model.draft.as_ref().unwrap();
    assert_ne!(draft.recipe.train.epochs, Some(7), "the same text: nothing is to be taken over");
    assert!(draft.layers.can_undo(), "and the edits can still be taken back");
    again(&mut model, "changed", 7);
    let draft = model.draft.as_ref().unwrap();
    assert_eq!((draft.recipe.train.epochs, draft.layers.staged().join("; ")), (Some(7), "freeze conv1".to_owned()));
    let effects = keys(&mut model, "t");
    let [Effect::Start(StartJob::Fresh { recipe, file, checksum })] = effects.as_slice() else { panic!("{effects:?}") };
    assert_eq!((recipe.train.epochs, recipe.freeze.rules.join("; ")), (Some(7), "freeze conv1".to_owned()));
    assert_eq!((file.to_str(), checksum.as_str()), (Some("a.toml"), "changed"));
}
