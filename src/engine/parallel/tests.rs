use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

use super::leader::culprit;
use super::op::{Answer, Message};
use super::peer::{Link, Peer};
use super::{PATIENCE, device_of, gpu_of, is_shared, same_gpu, threads};
use crate::core::recipe::Recipe;
use crate::core::tensor::HostTensor;
use crate::engine::api::{EngineError, InputSpec, Learner, Pass, StepInput};
use crate::engine::data::{self, EpochPlan};
use crate::engine::ffi::c10d::{Group, Store};
use crate::engine::parallel::Leader;
use crate::engine::seat::Seat;
use crate::engine::torch::TorchLearner;

const RECIPE: &str = "
    model = { arch = 'mlp', width = 4, hidden = [8] }
    data = { source = 'digits', classes = [0, 1], workers = 0 }
    train = { steps = 4, batch_size = 8, devices = ['cpu:0', 'cpu:1'], threads = 1 }
";

pub fn recipe() -> Recipe {
    Recipe::parse(RECIPE, "test.toml", std::path::Path::new("."), &[]).unwrap()
}

pub fn opened() -> data::Dataset {
    data::open(&recipe().data, None, 0).unwrap()
}

pub fn input(data: &data::Dataset) -> InputSpec {
    InputSpec { sample_shape: data.info().sample_shape.clone(), outputs: data.info().outputs }
}

fn two() -> (Leader, data::Dataset) {
    let data = opened();
    let devices = ["cpu:0".to_owned(), "cpu:1".to_owned()];
    (threads(&recipe(), &input(&data), &data, &devices).unwrap(), data.share(0, 2))
}

/// A leader whose rank 1 only plays to be one: it is built, is told to join, and answers what it is given to answer.
fn beside(answers: Vec<Answer>, group: fn() -> Result<Group, EngineError>) -> Result<Leader, EngineError> {
    let built = Answer::Built("cpu:1".to_owned(), None);
    beside_all(vec![[vec![built], answers].concat()], group)
}

/// The same with several, and with the first answer given.
fn beside_all(ranks: Vec<Vec<Answer>>, group: fn() -> Result<Group, EngineError>) -> Result<Leader, EngineError> {
    let (mut peers, mut threads) = (Vec::new(), Vec::new());
    for (i, answers) in ranks.into_iter().enumerate() {
        let (ops, told) = channel::<Message>();
        let (say, heard) = channel();
        threads.push(std::thread::spawn(move || {
            for answer in answers {
                let _ = say.send(answer);
                let _ = told.recv();
            }
            // Until it is dropped.
            while told.recv().is_ok() {}
        }));
        let name = format!("rank {0} (cpu:{0})", i + 1);
        peers.push(Peer { name, elsewhere: None, link: Link::Thread(ops), answers: heard });
    }
    let local = TorchLearner::new(&recipe(), &input(&opened()), "cpu").unwrap();
    Leader::assemble(local, peers, "cpu:0", threads, None, Arc::default(), group)
}

fn alone() -> Result<Group, EngineError> {
    Ok(Group::gloo(&Store::local()?, 0, 1, "127.0.0.1", "", PATIENCE)?)
}

/// What waits for a rank 1 that never joins.
fn in_vain() -> Result<Group, EngineError> {
    Ok(Group::gloo(&Store::local()?, 0, 2, "127.0.0.1", "", PATIENCE)?)
}

fn failed(words: &str) -> Answer {
    Answer::Failed(words.to_owned())
}

#[test]
fn a_rank_that_cannot_join_is_noticed_at_once() {
    let began = Instant::now();
    match beside(vec![failed("no network")], in_vain).map(drop) {
        Err(EngineError::Lost(words)) => assert_eq!(words, "rank 1 (cpu:1): no network"),
        other => panic!("{other:?}"),
    }
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}

#[test]
fn a_rank_that_goes_while_all_join_is_named_before_those_that_notice() {
    let built = || Answer::Built("cpu:1".to_owned(), None);
    let ranks = vec![vec![built(), Answer::Echo("closed".to_owned())], vec![built(), failed("it is gone")]];
    let words = beside_all(ranks, in_vain).map(drop).unwrap_err().to_string();
    assert_eq!(words, "rank 2 (cpu:2): it is gone");
}

#[test]
fn a_rank_0_that_cannot_join_says_why() {
    let words = beside(vec![], || Err(EngineError::Failed("no network".to_owned()))).map(drop).unwrap_err();
    assert_eq!(words.to_string(), "the ranks cannot join: no network");
}

#[test]
fn ranks_part_where_one_does_what_another_cannot() {
    let bad = [HostTensor::from_f32("no.such.tensor", &[1], &[0.0])];
    let after = |answer: Answer| {
        let mut leader = beside(vec![Answer::Done, answer], alone).unwrap();
        let error = leader.restore_weights(&bad).unwrap_err();
        (error, leader.restore_weights(&[]))
    };
    let (error, next) = after(Answer::Done);
    let EngineError::Lost(words) = error else { panic!("{error:?}") };
    assert!(words.starts_with("rank 1 (cpu:1): it did what rank 0 could not do (the model has no tensor"), "{words}");
    assert!(matches!(next, Err(EngineError::Lost(again)) if again == words));
    let (error, _) = after(failed("it is gone"));
    assert!(matches!(error, EngineError::Lost(words) if words == "rank 1 (cpu:1): it is gone"));
}

#[test]
fn ranks_part_where_one_refuses_what_another_does() {
    let mut leader = beside(vec![Answer::Done, Answer::Refused("no room".to_owned())], alone).unwrap();
    let weights = leader.local().snapshot().unwrap().weights;
    match leader.restore_weights(&weights) {
        Err(EngineError::Lost(words)) => assert_eq!(words, "rank 1 (cpu:1): no room"),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_rank_whose_memory_ends_is_named_and_the_shortage_stays_one() {
    let what = "you tried to allocate 4000000000000 bytes";
    let short = |error: EngineError| {
        let EngineError::OutOfMemory(of) = error else { panic!("{error:?}") };
        assert_eq!((of.rank.as_deref(), of.what.as_str()), (Some("rank 1 (cpu:1)"), what));
    };
    let mut leader = beside(vec![Answer::Done, Answer::NoRoom(what.to_owned())], alone).unwrap();
    let weights = leader.local().snapshot().unwrap().weights;
    short(leader.restore_weights(&weights).unwrap_err());
    // What closes a step here is the other's fault.
    let mut leader = beside(vec![Answer::Done, Answer::NoRoom(what.to_owned())], alone).unwrap();
    leader.step_others().unwrap();
    short(leader.blame(EngineError::Lost("connection closed".to_owned())));
    // What no rank has room for, none has done.
    let mut leader = beside(vec![Answer::Done, Answer::NoRoom(what.to_owned())], alone).unwrap();
    let bad = [HostTensor::from_f32("no.such.tensor", &[1], &[0.0])];
    assert!(matches!(leader.restore_weights(&bad), Err(EngineError::Refused(_) | EngineError::Failed(_))));
}

#[test]
fn who_failed_first_is_told_by_where_an_error_comes_from_and_not_by_its_words() {
    // As of a file on a network disk.
    let words = "images/1.png: Connection reset by peer (os error 104)";
    let answers = [None, Some(Answer::Echo("closed".to_owned())), Some(failed(words)), Some(Answer::Done)];
    assert_eq!(culprit(&answers), Some((2, &failed(words))));
    assert_eq!(culprit(&answers[..2]), Some((1, &Answer::Echo("closed".to_owned()))));
    assert_eq!(culprit(&answers[3..]), None);
    let mut leader = beside(vec![Answer::Done], alone).unwrap();
    let began = Instant::now();
    let error = leader.blame(EngineError::Failed(words.to_owned()));
    assert!(matches!(error, EngineError::Failed(same) if same == words));
    assert!(began.elapsed() < Duration::from_secs(4), "nobody else is asked");
}

fn step(leader: &mut Leader, data: &data::Dataset) -> Result<(), EngineError> {
    let plan = EpochPlan { seed: 0, epoch: 0, batch_size: 8, shuffle: true, drop_last: false, start_batch: 0 };
    leader.begin_pass(Pass::Train(plan))?;
    let micro = [data.train(plan).next().unwrap().unwrap()];
    let (lr_scale, clip_grad_norm, on_nan) = (1.0, None, Default::default());
    leader.step(&StepInput { step: 0, seed: 0, micro: &micro, lr_scale, clip_grad_norm, on_nan })
}

#[test]
fn ranks_that_hold_other_bits_are_found_out_before_a_checkpoint() {
    let (mut leader, data) = two();
    leader.agree().unwrap();
    step(&mut leader, &data).unwrap();
    leader.agree().unwrap();
    let mut weights = leader.snapshot().unwrap().weights;
    let last = weights.iter_mut().find(|t| t.name.ends_with("weight")).unwrap();
    last.data[0] ^= 1;
    leader.local().restore_weights(&weights).unwrap();
    let words = leader.snapshot().unwrap_err().to_string();
    assert!(words.starts_with("rank 1 (cpu:1) does not hold the weights of rank 0"), "{words}");
    leader.restore_weights(&weights).unwrap();
    leader.agree().unwrap();
}

#[test]
fn all_ranks_make_room_and_stay_alike() {
    let ((mut leader, data), (mut other, _)) = (two(), two());
    for _ in 0..2 {
        step(&mut leader, &data).unwrap();
        step(&mut other, &data).unwrap();
        leader.make_room().unwrap();
    }
    leader.agree().unwrap();
    assert!(leader.snapshot().unwrap() == other.snapshot().unwrap());
    let mut leader = beside(vec![Answer::Done, failed("its device has failed")], alone).unwrap();
    let words = leader.make_room().unwrap_err().to_string();
    assert_eq!(words, "rank 1 (cpu:1): its device has failed", "all are asked");
}

#[test]
fn what_one_rank_refuses_leaves_them_all_together() {
    let (mut leader, data) = two();
    let mut weights = leader.snapshot().unwrap().weights;
    weights[0].name = "no.such.tensor".to_owned();
    assert!(matches!(leader.restore_weights(&weights), Err(EngineError::Refused(_))));
    step(&mut leader, &data).unwrap();
    leader.agree().unwrap();
}

#[test]
fn a_rank_that_has_gone_is_lost_and_the_state_stays() {
    let (mut leader, data) = two();
    step(&mut leader, &data).unwrap();
    let before = leader.snapshot().unwrap();
    leader.local().leave();
    // Rank 1 waits for rank 0, whose connections are closed.
    let plan = EpochPlan { seed: 0, epoch: 0, batch_size: 8, shuffle: true, drop_last: false, start_batch: 1 };
    leader.begin_pass(Pass::Train(plan)).unwrap();
    leader.step_others().unwrap();
    while leader.look().is_ok() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    match step(&mut leader, &data) {
        Err(EngineError::Lost(words)) => assert!(words.starts_with("rank 1 (cpu:1): "), "{words}"),
        other => panic!("{other:?}"),
    }
    assert_eq!(leader.snapshot().unwrap().weights, before.weights);
}

#[test]
fn a_process_takes_the_gpu_with_its_number_or_the_one_that_is_shown_to_it_alone() {
    assert_eq!([0, 1, 3].map(|local| gpu_of(local, 4, None)), [0, 1, 3]);
    assert_eq!(gpu_of(1, 2, Some("2,3")), 1);
    assert_eq!([0, 1, 7].map(|local| gpu_of(local, 1, Some("5"))), [0; 3]);
    assert_eq!(gpu_of(1, 1, Some("MIG-1c9d")), 0);
    // Refused then, since there is no such GPU.
    assert_eq!(gpu_of(1, 1, None), 1);
    assert_eq!(gpu_of(1, 1, Some("0,9")), 1);
    assert_eq!(gpu_of(2, 2, Some("0,1")), 2);
    // A name is one GPU for all of them, unless each is shown its own.
    assert!(is_shared("cuda:0", 2, None) && is_shared("cuda:1", 2, Some("0,1")));
    assert!(!is_shared("cuda:0", 2, Some("5")) && !is_shared("cuda:0", 1, None) && !is_shared("cpu", 2, None));
}

#[test]
fn two_ranks_on_one_gpu_are_found_out() {
    let gpu = |name: &str| (!name.is_empty()).then(|| format!("GPU-{name}"));
    assert_eq!(same_gpu(&["a", "b", "", ""].map(gpu)), None);
    assert_eq!(same_gpu(&["a", "b", "c", "b"].map(gpu)), Some((1, 3)));
    let built = Answer::Built("cuda:0".to_owned(), gpu("a"));
    let words = beside_all(vec![vec![built.clone(), Answer::Done], vec![built, Answer::Done]], alone).map(drop);
    let words = words.unwrap_err().to_string();
    assert!(words.starts_with("rank 1 (cpu:1) and rank 2 (cpu:2) have the same GPU (GPU-a)"), "{words}");
}

#[test]
fn a_process_takes_the_device_at_its_place() {
    let take = |local: &str, asked: &[&str]| {
        let set = |name: &str| match name {
            "LOCAL_RANK" => Some(local.to_owned()),
            "RANK" => Some("3".to_owned()),
            "WORLD_SIZE" => Some("4".to_owned()),
            "LOCAL_WORLD_SIZE" => Some("2".to_owned()),
            "MASTER_ADDR" => Some("127.0.0.1".to_owned()),
            "MASTER_PORT" => Some("29500".to_owned()),
            _ => None,
        };
        let seat = Seat::read(set).unwrap().unwrap();
        let asked: Vec<String> = asked.iter().map(|a| (*a).to_owned()).collect();
        device_of(&seat, &asked).map_err(|e| e.to_string())
    };
    assert_eq!(take("1", &["cpu"]), Ok("cpu".to_owned()));
    assert_eq!(take("1", &["cpu:0", "cpu:1"]), Ok("cpu:1".to_owned()));
    assert!(take("2", &["cpu:0", "cpu:1"]).unwrap_err().contains("LOCAL_RANK is 2"));
    assert!(take("0", &["cuda:0"]).unwrap_err().contains("cannot share one GPU"));
    assert!(take("0", &["gpu"]).unwrap_err().contains("unknown device `gpu`"));
}
