//! The trainer through its handle: commands, bad steps, damage, ends, forks.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod support;

use std::sync::Arc;
use std::time::Duration;

use frostline::core::command::{Command, HANDED_OVER, NOT_HANDED_OVER};
use frostline::core::event::{Event, Record};
use frostline::core::recipe::Recipe;
use frostline::core::run::{RunDir, RunStatus};
use frostline::core::tensor::{DType, HostTensor};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;
use frostline::session::{Outcome, Session, SessionError, Source, Start, dry_run, evaluate, predict};
use support::exact::{assert_same_bits, final_of};
use support::probe::Probe;
use support::{Place, ask, differing, owned, stop, to_end, warnings};

fn fake() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1))
}

fn slow() -> Arc<dyn Engine> {
    Arc::new(FakeEngine::new(1).with_delay(Duration::from_millis(5)))
}

fn failure(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed { message } => message,
        other => panic!("{other:?}"),
    }
}

fn refusal<T>(result: Result<T, SessionError>) -> String {
    match result {
        Err(e) if e.is_refusal() => e.to_string(),
        Err(e) => panic!("not a refusal: {e}"),
        Ok(_) => panic!("it was not refused"),
    }
}

/// Waits for a step.
fn goes_on(run: &RunDir) {
    let step = run.summary().step;
    while run.summary().step == step {
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn names(place: &Place) -> usize {
    place.home.runs().unwrap().len()
}

#[test]
fn a_whole_run_says_what_it_does_in_order() {
    let place = Place::new(&["checkpoint.keep_last=2", "checkpoint.keep_best=0"]);
    let handle = place.fresh(&fake()).unwrap();
    let run = handle.dir().clone();
    assert_eq!(handle.tree().parameters.len(), 11);
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 22, .. }));
    assert!(matches!(records[0].event, Event::Started { steps: 22, resumed_from: None, .. }));
    assert!(matches!(records[1].event, Event::FreezeChanged { trainable: 11, frozen: 0, .. }));
    assert!(matches!(records.last().unwrap().event, Event::Finished { .. }));
    let steps: Vec<u64> = records.iter().filter(|r| !r.event.is_rare()).map(|r| r.step).collect();
    assert_eq!(steps, (1..=22).collect::<Vec<_>>());
    let audit = records.iter().find_map(|r| match &r.event {
        Event::Audit { moved, unmoved, mismatched } => Some((moved.len(), unmoved.len(), mismatched.len())),
        _ => None,
    });
    assert_eq!(audit, Some((20, 0, 0)));
    let left: Vec<u64> = run.checkpoints().list().iter().map(|i| i.step).collect();
    assert_eq!(left, [20, 22]);
    assert_eq!(run.summary().status, RunStatus::Finished);
    // The log on the disk is the bus without the steps.
    let rare: Vec<Record> = records.into_iter().filter(|r| r.event.is_rare()).collect();
    assert_eq!(run.events().unwrap(), (rare, None));
    assert!(std::fs::read_to_string(run.log_path()).unwrap().contains("audit: 20 tensors moved"));
}

#[test]
fn a_paused_run_stands_still_and_answers() {
    let place = Place::new(&["train.steps=100000"]);
    let handle = place.fresh(&slow()).unwrap();
    let run = handle.dir().clone();
    ask(&handle, Command::Pause).unwrap();
    assert_eq!(run.summary().status, RunStatus::Paused);
    let step = run.summary().step;
    let name = ask(&handle, Command::Save).unwrap();
    assert_eq!(name, frostline::core::checkpoint::CheckpointStore::name_of(step));
    assert_eq!(ask(&handle, Command::Save).unwrap(), name, "nothing new to save");
    assert!(ask(&handle, Command::Evaluate).unwrap().contains("val/loss"));
    std::thread::sleep(Duration::from_millis(30));
    assert_eq!(run.summary().step, step);
    ask(&handle, Command::Continue).unwrap();
    goes_on(&run);
    let (outcome, records) = stop(handle);
    assert!(matches!(outcome, Outcome::Stopped { reason, .. } if reason == "test"));
    assert!(matches!(records.last().unwrap().event, Event::Stopped { .. }));
    assert_eq!(run.summary().status, RunStatus::Stopped);
}

#[test]
fn a_live_freeze_edit_is_all_or_none_and_lasts_into_the_next_checkpoint() {
    let place = Place::new(&["train.steps=100000", "freeze.rules=['freeze layer1']"]);
    let handle = place.fresh(&slow()).unwrap();
    let run = handle.dir().clone();
    let freeze = |rules: &[&str]| ask(&handle, Command::Freeze { rules: owned(rules) });
    assert!(freeze(&["freeze conv1", "freeze nonsense"]).unwrap_err().contains("nonsense"));
    assert!(freeze(&["freeze **"]).unwrap_err().contains("nothing would learn"));
    freeze(&["freeze **", "train fc"]).unwrap();
    let before = run.checkpoints().load(&ask(&handle, Command::Save).unwrap()).unwrap();
    assert_eq!(before.state.freeze_rules, ["freeze layer1", "freeze **", "train fc"]);
    goes_on(&run);
    freeze(&["train layer2"]).unwrap();
    ask(&handle, Command::SetLr { lr: 0.005 }).unwrap();
    assert!(ask(&handle, Command::SetLr { lr: f64::NAN }).is_err());
    let after = run.checkpoints().load(&ask(&handle, Command::Save).unwrap()).unwrap();
    assert!(after.state.step > before.state.step);
    assert!(differing(&before.weights, &after.weights).iter().all(|n| n.starts_with("fc") || n.starts_with("layer2")));
    assert!(differing(&before.weights, &after.weights).iter().any(|n| n == "fc.weight"));
    stop(handle);
    let handle = place.resume(&slow(), &run).unwrap();
    ask(&handle, Command::Pause).unwrap();
    stop(handle);
    let (last, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(last.state.base_lr, 0.005);
    assert_eq!(last.state.freeze_rules.last().unwrap(), "train layer2");
}

#[test]
fn a_run_in_which_nothing_can_learn_does_not_start() {
    let place = Place::new(&["freeze.rules=['freeze **']"]);
    assert!(refusal(place.fresh(&fake())).contains("nothing would learn"));
    assert!(refusal(dry_run(&*fake(), &place.home, &place.recipe)).contains("nothing would learn"));
    assert_eq!(names(&place), 0);
}

#[test]
fn bad_input_is_refused_in_words_and_leaves_no_run() {
    for (set, word) in [
        ("model.arch=nonsense", "nonsense"),
        ("train.devices=['cuda:0']", "cuda:0"),
        ("freeze.rules=['freeze layer9']", "layer9"),
        ("model.num_classes=2", "model.num_classes"),
        ("model.weights=other.pth", "other.pth"),
        ("model.weights=nobody@12", "nobody"),
        ("data.classes=[0, 77]", "77"),
    ] {
        let place = Place::new(&[set]);
        let error = place.fresh(&fake()).map(|_| ()).unwrap_err().to_string();
        assert!(error.contains(word), "{set}: {error}");
        assert!(!error.contains('\n'), "{set}: {error}");
        assert_eq!(names(&place), 0, "{set}");
    }
}

#[test]
fn a_bad_step_stops_the_run_with_the_state_before_it_and_names_the_parameter() {
    let whole = Place::new(&[]);
    let undisturbed = final_of(&whole.finished(&fake()));
    for lag in [0, 3] {
        let place = Place::new(&[]);
        let bad: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_nan_at(6).with_lag(lag));
        let handle = place.fresh(&bad).unwrap();
        let run = handle.dir().clone();
        let (outcome, _) = to_end(handle);
        let message = failure(outcome);
        assert!(message.contains("step 7") && message.contains("`fc.weight`"), "{message}");
        assert!(message.contains("step-00000006") && message.contains("on_nan"), "{message}");
        assert_eq!(run.summary().status, RunStatus::Failed);
        assert_eq!(run.summary().step, 6);
        // With the cause gone, the run goes on from just before it.
        to_end(place.resume(&fake(), &run).unwrap());
        assert_same_bits(&undisturbed, &final_of(&run), &format!("lag {lag}"));
    }
}

#[test]
fn skipped_steps_are_counted_and_said() {
    let place = Place::new(&["train.on_nan=skip"]);
    let bad: Arc<dyn Engine> = Arc::new(FakeEngine::new(1).with_nan_at(6));
    let handle = place.fresh(&bad).unwrap();
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Finished { step: 22, .. }), "{outcome:?}");
    let said = warnings(&records);
    assert!(said[0].contains("step 7") && said[0].contains("fc.weight"), "{said:?}");
    assert!(said[1].starts_with("1 steps were skipped"), "{said:?}");
}

/// To leave a run to another process loses nothing: where that one could not go on, this one does.
#[test]
fn a_run_is_not_handed_over_without_a_checkpoint() {
    let place = Place::new(&["train.steps=100000", "checkpoint.every_steps=50000"]);
    let handle = place.fresh(&slow()).unwrap();
    let run = handle.dir().clone();
    let (checkpoints, aside) = (run.path().join("checkpoints"), run.path().join("aside"));
    std::fs::rename(&checkpoints, &aside).unwrap();
    std::fs::write(&checkpoints, "in the way").unwrap();
    let hand_over = || Command::Stop { reason: HANDED_OVER.to_owned() };
    let words = ask(&handle, hand_over()).unwrap_err();
    assert!(words.starts_with(NOT_HANDED_OVER), "{words}");
    assert!(ask(&handle, Command::Pause).is_ok(), "it goes on");
    assert_eq!(run.summary().status, RunStatus::Paused);
    std::fs::remove_file(&checkpoints).unwrap();
    std::fs::rename(&aside, &checkpoints).unwrap();
    handle.send(hand_over());
    let (outcome, _) = to_end(handle);
    assert!(matches!(outcome, Outcome::Stopped { reason, .. } if reason == HANDED_OVER));
    assert_eq!(run.checkpoints().list().len(), 1);
}

/// A learning rate is the usual cause of NaN, and no remedy where it is in the data or in the weights.
#[test]
fn what_was_not_finite_before_a_bad_step_is_named() {
    let place = |on_nan: &str, bad: &[usize], weights: &str| {
        let mut place = Place::new(&[]);
        let mut x: Vec<f32> = (0..40 * 64).map(|i| (i % 17) as f32 / 17.0).collect();
        bad.iter().for_each(|sample| x[sample * 64 + 5] = f32::NAN);
        let y = HostTensor {
            name: "y".to_owned(),
            dtype: DType::Int64,
            shape: vec![40],
            data: (0..40_i64).flat_map(|i| (i % 3).to_le_bytes()).collect(),
        };
        let arrays = [HostTensor::from_f32("x", &[40, 1, 8, 8], &x), y];
        let file = place.folder.path().join("d.safetensors");
        frostline::core::weights::write_safetensors(&file, &arrays, &Default::default(), false).unwrap();
        let data = "source = 'tensors'\npath = 'd.safetensors'\nval_fraction = 0.25";
        let text = support::RECIPE.replace("source = 'digits'\nclasses = [0, 1, 2]", data);
        let text = text.replace("[data]", &format!("{weights}[data]"));
        let sets = [format!("train.on_nan={on_nan}"), "train.batch_size=10".to_owned()];
        place.recipe = Recipe::parse(&text, "test.toml", place.folder.path(), &sets).unwrap();
        place
    };
    let failed = |place: &Place| failure(to_end(place.fresh(&fake()).unwrap()).0);
    // All of them, so that it does not matter which are held out for validation.
    let all: Vec<usize> = (0..40).collect();
    let message = failed(&place("stop", &all, ""));
    assert!(message.contains("20 of the 20 samples of its batch are not finite: numbers "), "{message}");
    assert!(message.contains("and 15 more of the data set") && !message.contains("optimizer.lr"), "{message}");
    assert!(!message.contains("the model was"), "{message}");
    // One sample: named, unless it is held out for validation.
    let mut named = 0;
    for sample in 0..6 {
        let place = place("skip", &[sample], "");
        let (_, records) = to_end(place.fresh(&fake()).unwrap());
        let said = warnings(&records).into_iter().find(|w| w.contains("skipped, 1 so far"));
        let Some(said) = said else { continue };
        let words = format!("0 samples of its batch is not finite: number {sample} of the data set");
        assert!(said.contains("; 1 of the ") && said.contains(&words), "{said}");
        named += 1;
    }
    assert!(named >= 3, "{named} of 6 are trained on");
    // The weights.
    let place = place("stop", &[], "weights = 'w.safetensors'\n");
    let other = Place::new(&["train.steps=1"]);
    let (checkpoint, _) = other.finished(&fake()).checkpoints().newest_good().unwrap();
    let mut weights = checkpoint.weights;
    let at = weights.iter().position(|t| t.name == "fc.weight").unwrap();
    weights[at].data[..4].copy_from_slice(&f32::INFINITY.to_le_bytes());
    let file = place.folder.path().join("w.safetensors");
    frostline::core::weights::write_safetensors(&file, &weights, &Default::default(), false).unwrap();
    let message = failed(&place);
    assert!(message.contains("the model was not finite before it, in `fc.weight`"), "{message}");
    assert!(!message.contains("samples of its batch"), "{message}");
}

#[test]
fn a_panic_fails_the_run_in_words_and_frees_it() {
    let place = Place::new(&[]);
    let handle = place.fresh(&Probe::new(&fake()).dying_at(9).engine()).unwrap();
    let run = handle.dir().clone();
    let (outcome, records) = to_end(handle);
    assert!(failure(outcome).contains("killed by the test"));
    assert!(matches!(records.last().unwrap().event, Event::Failed { .. }));
    assert_eq!(run.summary().status, RunStatus::Failed);
    assert_eq!(run.owner(), None);
}

#[test]
fn a_flipped_byte_in_any_file_is_found_and_the_run_goes_on_from_the_checkpoint_before() {
    let whole = Place::new(&[]);
    let undisturbed = final_of(&whole.finished(&fake()));
    for file in ["weights.safetensors", "optimizer.safetensors", "state.json"] {
        let place = Place::new(&[]);
        let run = place.finished(&fake());
        let path = run.checkpoints().path().join("step-00000022").join(file);
        let mut bytes = std::fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let (outcome, records) = to_end(place.resume(&fake(), &run).unwrap());
        assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
        let said = warnings(&records);
        let fallen = said.iter().any(|w| w.contains("step-00000022") && w.contains(file) && w.contains("from step 20"));
        assert!(fallen, "{said:?}");
        assert_same_bits(&undisturbed, &final_of(&run), file);
    }
}

#[test]
fn a_run_whose_checkpoints_are_all_damaged_is_refused() {
    let place = Place::new(&["checkpoint.every_steps=100"]);
    let run = place.finished(&fake());
    std::fs::write(run.checkpoints().path().join("step-00000022/weights.safetensors"), "x").unwrap();
    let words = refusal(place.resume(&fake(), &run));
    assert!(words.contains("step-00000022") && words.contains("weights.safetensors"), "{words}");
}

#[test]
fn a_finished_run_has_nothing_to_resume_unless_it_is_made_longer() {
    let place = Place::new(&["train.epochs=1"]);
    let run = place.finished(&fake());
    let step = run.summary().step;
    for sets in [&[][..], &["train.epochs=1"]] {
        let handle = place.resume_with(&fake(), &run, None, sets).unwrap();
        assert!(handle.is_over());
        assert!(handle.send(Command::Pause) > 0);
        assert!(matches!(handle.drain()[0].event, Event::Reply { result: Err(_), .. }));
        assert_eq!(handle.join(), Outcome::AlreadyFinished);
    }
    let words = refusal(place.resume_with(&fake(), &run, None, &["optimizer.lr=1"]));
    assert!(words.contains("the rest is fork's"), "{words}");
    let (outcome, _) = to_end(place.resume_with(&fake(), &run, None, &["train.epochs=2"]).unwrap());
    assert!(matches!(outcome, Outcome::Finished { step: s, .. } if s == 2 * step), "{outcome:?}");
    assert_eq!(place.resume(&fake(), &run).unwrap().join(), Outcome::AlreadyFinished);
    for shorter in ["train.steps=3", "train.epochs=1"] {
        let words = refusal(place.resume_with(&fake(), &run, None, &[shorter]));
        assert!(words.contains("larger"), "{shorter}: {words}");
    }
}

#[test]
fn resuming_from_an_older_checkpoint_sets_later_ones_aside_and_ends_the_same() {
    let place = Place::new(&[]);
    let run = place.finished(&fake());
    let undisturbed = final_of(&run);
    let (outcome, _) = to_end(place.resume_with(&fake(), &run, Some("8"), &[]).unwrap());
    assert!(matches!(outcome, Outcome::Finished { .. }), "{outcome:?}");
    assert_same_bits(&undisturbed, &final_of(&run), "from 8");
    assert_eq!(std::fs::read_dir(run.path().join("set-aside")).unwrap().count(), 4);
    assert_eq!(run.meta().unwrap().lineage.resumed_from, Some(format!("{}@8", run.id())));
    let other = place.finished(&fake());
    let foreign = format!("{}@8", other.id());
    assert!(refusal(place.resume_with(&fake(), &run, Some(&foreign), &[])).contains("fork"));
}

#[test]
fn a_killed_run_without_a_checkpoint_starts_again_from_step_0() {
    let whole = Place::new(&[]);
    let undisturbed = final_of(&whole.finished(&fake()));
    let place = Place::new(&[]);
    let handle = place.fresh(&Probe::new(&fake()).dying_at(2).engine()).unwrap();
    let run = handle.dir().clone();
    to_end(handle);
    assert!(run.checkpoints().list().is_empty());
    let (_, records) = to_end(place.resume(&fake(), &run).unwrap());
    assert!(warnings(&records)[0].contains("from step 0 again"));
    assert_same_bits(&undisturbed, &final_of(&run), "from 0");
}

#[test]
fn a_live_run_has_one_host() {
    let place = Place::new(&["train.steps=100000"]);
    let handle = place.fresh(&slow()).unwrap();
    let run = handle.dir().clone();
    let error = place.resume(&fake(), &run).map(|_| ()).unwrap_err();
    assert!(error.to_string().contains(&std::process::id().to_string()), "{error}");
    drop(handle);
    // Dropping is a stop with a checkpoint.
    assert_eq!(run.summary().status, RunStatus::Stopped);
    assert_eq!(run.checkpoints().list().last().map(|i| i.step), Some(run.summary().step));
}

#[test]
fn dropping_the_handle_of_a_paused_run_ends_it() {
    let place = Place::new(&["train.steps=100000"]);
    let handle = place.fresh(&slow()).unwrap();
    let run = handle.dir().clone();
    ask(&handle, Command::Pause).unwrap();
    drop(handle);
    assert_eq!(run.summary().status, RunStatus::Stopped);
}

#[test]
fn changed_data_is_said_on_resume() {
    let place = Place::new(&[]);
    let handle = place.fresh(&Probe::new(&fake()).dying_at(9).engine()).unwrap();
    let run = handle.dir().clone();
    to_end(handle);
    let (mut loaded, _) = run.checkpoints().newest_good().unwrap();
    loaded.state.data.fingerprint = "of other data".to_owned();
    run.checkpoints().write(&loaded.state, &loaded.weights, &loaded.optimizer).unwrap();
    let (_, records) = to_end(place.resume(&fake(), &run).unwrap());
    assert!(warnings(&records).iter().any(|w| w.contains("the data has changed")));
}

#[test]
fn a_fork_starts_at_step_0_with_the_weights_and_the_optimizer_if_asked() {
    let place = Place::new(&[]);
    let parent = place.finished(&fake());
    let checkpoint = place.home.find_checkpoint(&format!("{}@12", parent.id())).unwrap();
    let of = checkpoint.load().unwrap();
    for optimizer in [false, true] {
        let sets = owned(&["freeze.rules=['freeze **', 'train fc']", "train.steps=3", "name=forked"]);
        let start = Start::Fork { checkpoint: checkpoint.clone(), optimizer, sets };
        let handle = Session::start(fake(), &place.home, start).unwrap();
        let run = handle.dir().clone();
        let (outcome, _) = to_end(handle);
        assert!(matches!(outcome, Outcome::Finished { step: 3, .. }), "{outcome:?}");
        let first = run.checkpoints().load("step-00000000").unwrap();
        assert_eq!(differing(&first.weights, &of.weights), Vec::<String>::new());
        assert_eq!(first.optimizer == of.optimizer, optimizer);
        let (last, _) = run.checkpoints().newest_good().unwrap();
        assert_eq!(differing(&last.weights, &of.weights), ["fc.weight", "fc.bias"]);
        assert_eq!(run.meta().unwrap().lineage.forked_from, Some(format!("{}@12", parent.id())));
        assert_eq!(run.summary().name, "forked");
    }
}

#[test]
fn pretrained_weights_of_a_run_are_loaded_and_the_head_can_be_new() {
    let place = Place::new(&[]);
    let parent = place.finished(&fake());
    let sets = [format!("model.weights={}@last", parent.id()), "model.load.head=new".to_owned()];
    let mut recipe = place.recipe.with_sets(&sets).unwrap();
    recipe.data.classes = place.recipe.with_sets(&owned(&["data.classes=[5, 6, 7, 8]"])).unwrap().data.classes;
    recipe.freeze.rules = owned(&["freeze **", "train fc"]);
    recipe.train.steps = Some(2);
    let handle = Session::start(fake(), &place.home, Start::Fresh { recipe }).unwrap();
    let run = handle.dir().clone();
    to_end(handle);
    let (of, _) = parent.checkpoints().newest_good().unwrap();
    let (tuned, _) = run.checkpoints().newest_good().unwrap();
    assert_eq!(differing(&of.weights, &tuned.weights), ["fc.weight", "fc.bias"]);
    assert_eq!(tuned.state.data.class_names, ["5", "6", "7", "8"]);
}

#[test]
fn evaluation_of_a_checkpoint_equals_the_runs_own_and_prediction_follows() {
    let place = Place::new(&[]);
    let run = place.finished(&fake());
    let checkpoint = place.home.find_checkpoint(&format!("{}@last", run.id())).unwrap();
    let metrics = checkpoint.load().unwrap().state.metrics;
    let source = Source::Checkpoint(checkpoint);
    let evaluation = evaluate(&*fake(), &place.home, &source, &[]).unwrap();
    for (name, value) in &evaluation.metrics {
        assert_eq!(value.to_bits(), metrics[name].to_bits(), "{name}");
    }
    assert_eq!(evaluation.per_class.iter().map(|c| c.samples).sum::<u64>(), evaluation.samples);
    assert_eq!(evaluation.per_class[2].name, "2");
    let file = place.folder.path().join("x.safetensors");
    let x = frostline::core::tensor::HostTensor::from_f32("x", &[40, 1, 8, 8], &[0.5; 40 * 64]);
    frostline::core::weights::write_safetensors(&file, &[x], &Default::default(), false).unwrap();
    let predictions = predict(&*fake(), &place.home, &source, &[file], &[]).unwrap();
    assert_eq!(predictions.outputs.shape, [40, 3]);
    assert_eq!((predictions.classes.len(), predictions.names.len()), (40, 40));
    assert_eq!(predictions.class_names, ["0", "1", "2"]);
    let other = evaluate(&*fake(), &place.home, &source, &owned(&["data.classes=[7, 8, 9]"]));
    assert!(refusal(other).contains("classes"));
}

#[test]
fn prediction_needs_no_training_data_any_more_and_evaluation_no_parameter_that_learns() {
    let place = Place::new(&["freeze.rules=['freeze **']"]);
    let evaluation = evaluate(&*fake(), &place.home, &Source::Recipe(place.recipe.clone()), &[]).unwrap();
    assert!(evaluation.samples > 0);
    let folder = place.folder.path().join("images");
    for (class, shade) in [("dark", 10), ("light", 240)] {
        std::fs::create_dir_all(folder.join(class)).unwrap();
        for i in 0..6u8 {
            let image = image::GrayImage::from_pixel(8, 8, image::Luma([shade + i]));
            image.save(folder.join(class).join(format!("{i}.png"))).unwrap();
        }
    }
    let path = format!("data.path={:?}", folder.display().to_string());
    let sets = [path.as_str(), "data.source=image-folder", "data.classes=[]", "freeze.rules=[]", "train.steps=1"];
    let recipe = place.recipe.with_sets(&owned(&sets)).unwrap();
    let handle = Session::start(fake(), &place.home, Start::Fresh { recipe }).unwrap();
    let checkpoint = format!("{}@last", handle.id());
    to_end(handle);
    let at = |name: &str| Source::Checkpoint(place.home.find_checkpoint(name).unwrap());
    assert!(evaluate(&*fake(), &place.home, &at(&checkpoint), &[]).unwrap().skipped.is_empty());
    let sound = predict(&*fake(), &place.home, &at(&checkpoint), std::slice::from_ref(&folder), &[]).unwrap();
    let damaged = folder.join("light/3.png");
    let whole = std::fs::read(&damaged).unwrap();
    std::fs::write(&damaged, &whole[..20]).unwrap();
    let every = owned(&["data.val_fraction=0.9"]);
    let evaluation = evaluate(&*fake(), &place.home, &at(&checkpoint), &every).unwrap();
    assert_eq!((evaluation.samples, evaluation.skipped.len()), (9, 1), "{:?}", evaluation.skipped);
    assert!(evaluation.skipped[0].contains("light/3.png: "), "{:?}", evaluation.skipped);
    let predictions = predict(&*fake(), &place.home, &at(&checkpoint), std::slice::from_ref(&folder), &[]).unwrap();
    assert_eq!((sound.names.len(), predictions.names.len(), predictions.classes.len()), (12, 11, 11));
    assert!(predictions.skipped[0].contains("light/3.png: ") && predictions.skipped.len() == 1);
    let stop = predict(
        &*fake(),
        &place.home,
        &at(&checkpoint),
        std::slice::from_ref(&folder),
        &owned(&["data.on_bad_image=stop"]),
    );
    assert!(refusal(stop).contains("light/3.png: damaged image"));
    std::fs::write(&damaged, whole).unwrap();
    let one = place.folder.path().join("one.png");
    std::fs::rename(folder.join("dark/0.png"), &one).unwrap();
    std::fs::remove_dir_all(&folder).unwrap();
    let source = Source::Checkpoint(place.home.find_checkpoint(&checkpoint).unwrap());
    let predictions = predict(&*fake(), &place.home, &source, &[one], &[]).unwrap();
    assert_eq!((predictions.outputs.shape, predictions.class_names), (vec![1, 2], owned(&["dark", "light"])));
}

#[test]
fn a_dry_run_counts_and_leaves_nothing_behind() {
    let place = Place::new(&["freeze.rules=['freeze **', 'train fc']"]);
    let facts = dry_run(&*fake(), &place.home, &place.recipe).unwrap();
    assert_eq!((facts.steps, facts.steps_per_epoch, facts.trainable_tensors, facts.tensors), (22, 9, 2, 11));
    assert_eq!(facts.trainable_parameters, 16 * 3 + 3);
    let handle = place.fresh(&fake()).unwrap();
    let run = handle.dir().clone();
    stop(handle);
    let bytes = run.checkpoints().list()[0].bytes;
    assert!(facts.checkpoint_bytes < bytes, "state.json and headers come on top");
    assert!(facts.lines().iter().any(|(label, value)| *label == "parameters" && value.contains("51 learn")));
    let place = Place::new(&[]);
    dry_run(&*fake(), &place.home, &place.recipe).unwrap();
    assert!(!place.home.path().exists());
}

#[test]
fn a_stop_breaks_off_a_validation_which_the_resumed_run_makes_up_for() {
    let whole = Place::new(&[]);
    let undisturbed = final_of(&whole.finished(&fake()));
    let place = Place::new(&[]);
    let probe = Probe::new(&fake());
    let held = probe.gate_evaluation(1);
    let handle = place.fresh(&probe.engine()).unwrap();
    let run = handle.dir().clone();
    held.during(|| handle.send(Command::Stop { reason: "test".to_owned() }));
    let (outcome, records) = to_end(handle);
    assert!(matches!(outcome, Outcome::Stopped { step: 9, .. }), "{outcome:?}");
    assert!(!records.iter().any(|r| matches!(r.event, Event::Validation { .. })));
    let (_, records) = to_end(place.resume(&fake(), &run).unwrap());
    assert!(records.iter().any(|r| r.step == 9 && matches!(r.event, Event::Validation { .. })));
    assert_same_bits(&undisturbed, &final_of(&run), "stopped in a validation");
}

#[test]
fn data_that_fails_in_the_middle_costs_no_step_that_was_done() {
    let place = Place::new(&[]);
    for class in ["a", "b"] {
        let folder = place.folder.path().join("images").join(class);
        std::fs::create_dir_all(&folder).unwrap();
        for i in 0..40u8 {
            let image = image::GrayImage::from_pixel(8, 8, image::Luma([i * 5]));
            image.save(folder.join(format!("{i}.png"))).unwrap();
        }
    }
    let sets = [
        "data.source=image-folder".to_owned(),
        format!("data.path={:?}", place.folder.path().join("images").display().to_string()),
        "data.on_bad_image=stop".to_owned(),
        "data.classes=[]".to_owned(),
        "train.batch_size=4".to_owned(),
        "train.accumulate_grad_batches=1".to_owned(),
        "train.steps=64".to_owned(),
        "checkpoint.every_steps=1000".to_owned(),
    ];
    let recipe = place.recipe.with_sets(&sets).unwrap();
    let probe = Probe::new(&fake());
    let held = probe.gate(20);
    let handle = Session::start(probe.engine(), &place.home, Start::Fresh { recipe }).unwrap();
    let run = handle.dir().clone();
    held.during(|| {
        for i in 0..40 {
            std::fs::write(place.folder.path().join(format!("images/a/{i}.png")), "no image").unwrap();
        }
    });
    let (outcome, _) = to_end(handle);
    assert!(failure(outcome).contains(".png"));
    let step = run.summary().step;
    assert!(step > 20, "{step}");
    assert_eq!(run.checkpoints().list().last().map(|i| i.step), Some(step));
}
