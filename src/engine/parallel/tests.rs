use super::{device_of, threads};
use crate::core::recipe::Recipe;
use crate::engine::api::{EngineError, InputSpec, Learner, Pass, StepInput};
use crate::engine::data::{self, EpochPlan};
use crate::engine::parallel::Leader;
use crate::engine::seat::Seat;

const RECIPE: &str = "
    model = { arch = 'mlp', width = 4, hidden = [8] }
    data = { source = 'digits', classes = [0, 1], workers = 0 }
    train = { steps = 4, batch_size = 8, devices = ['cpu:0', 'cpu:1'], threads = 1 }
";

fn two() -> (Leader, data::Dataset) {
    let recipe = Recipe::parse(RECIPE, "test.toml", std::path::Path::new("."), &[]).unwrap();
    let data = data::open(&recipe.data, None, 0).unwrap();
    let info = data.info();
    let input = InputSpec { sample_shape: info.sample_shape.clone(), outputs: info.outputs };
    let devices = ["cpu:0".to_owned(), "cpu:1".to_owned()];
    (threads(&recipe, &input, &data, &devices).unwrap(), data.share(0, 2))
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
