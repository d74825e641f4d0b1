//! Hand-made state for tests: a small tree, runs, events.

use std::str::FromStr;

use crate::core::checkpoint::diff::Drift;
use crate::core::checkpoint::policy::Guard;
use crate::core::device::{DeviceKind, DeviceProcess, Reading, Survey};
use crate::core::event::{Event, Metrics, Record};
use crate::core::recipe::{Mode, Recipe};
use crate::core::run::compare::{MetricRow, Plan};
use crate::core::run::{Comparison, Lineage, RunId, RunStatus, RunSummary};
use crate::core::series::Series;
use crate::core::tensor::{DType, HostTensor};
use crate::core::tree::{ModuleInfo, ParamInfo, Tree};

use super::diff_view::{DiffView, Side};
use super::message::{CheckpointFacts, CheckpointRow, OpenedRun};

/// The time of all samples.
pub const NOW: u64 = 1_790_000_000_000;

/// A small residual network: conv1, bn1, two stages of one block, fc.
pub fn tree() -> Tree {
    let mut tree = Tree::default();
    module(&mut tree, "", "ResNet", "", &[]);
    module(&mut tree, "conv1", "Conv2d", "1->16 3x3", &[("weight", &[16, 1, 3, 3])]);
    module(&mut tree, "bn1", "BatchNorm2d", "16", &[("weight", &[16]), ("bias", &[16])]);
    module(&mut tree, "relu", "ReLU", "", &[]);
    for (layer, width) in [("layer1", 16), ("layer2", 32)] {
        module(&mut tree, layer, "Sequential", "", &[]);
        module(&mut tree, &format!("{layer}.0"), "BasicBlock", "", &[]);
        module(&mut tree, &format!("{layer}.0.conv1"), "Conv2d", "3x3", &[("weight", &[width, 16, 3, 3])]);
        module(&mut tree, &format!("{layer}.0.bn1"), "BatchNorm2d", "", &[("weight", &[width]), ("bias", &[width])]);
    }
    module(&mut tree, "fc", "Linear", "32->5", &[("weight", &[5, 32]), ("bias", &[5])]);
    tree
}

fn module(tree: &mut Tree, path: &str, kind: &str, detail: &str, params: &[(&str, &[usize])]) {
    let above = path.rsplit_once('.').map_or("", |(above, _)| above);
    let at = tree.modules.len();
    let parent = tree.modules.iter().position(|m| m.path == above).filter(|_| !path.is_empty());
    tree.modules.push(ModuleInfo {
        path: path.to_owned(),
        kind: kind.to_owned(),
        detail: detail.to_owned(),
        parent,
        output_shape: (path == "fc").then(|| vec![-1, 5]),
        flops: None,
    });
    for (name, shape) in params {
        let name = format!("{path}.{name}");
        tree.parameters.push(ParamInfo { name, module: at, shape: shape.to_vec(), dtype: DType::Float32 });
    }
}

/// A large tree: `blocks` blocks in one stage.
pub fn large_tree(blocks: usize) -> Tree {
    let mut tree = Tree::default();
    module(&mut tree, "", "ResNet", "", &[]);
    module(&mut tree, "stem_with_a_rather_long_name_氷", "Conv2d", "3->64 7x7 s2", &[("weight", &[64, 3, 7, 7])]);
    module(&mut tree, "layer1", "Sequential", "", &[]);
    for b in 0..blocks {
        module(&mut tree, &format!("layer1.{b}"), "Bottleneck", "", &[]);
        module(&mut tree, &format!("layer1.{b}.conv1"), "Conv2d", "64->64 1x1", &[("weight", &[64, 64, 1, 1])]);
        module(&mut tree, &format!("layer1.{b}.bn1"), "BatchNorm2d", "64", &[("weight", &[64]), ("bias", &[64])]);
    }
    module(&mut tree, "fc", "Linear", "2048->1000", &[("weight", &[1000, 2048]), ("bias", &[1000])]);
    tree
}

/// A line of the run list.
pub fn run(n: u64, name: &str, status: RunStatus) -> RunSummary {
    let created = jiff::Timestamp::from_millisecond(i64::try_from(NOW - n * 3_600_000).unwrap()).unwrap();
    RunSummary {
        id: RunId::from_str(&format!("20261125-0145{n:02}-k3f9")).unwrap(),
        name: name.to_owned(),
        status,
        step: (40 * n).min(400),
        steps: 400,
        epoch: n,
        epochs: 10,
        best: (n > 0).then(|| 1.0 / (n as f64 + 1.0)),
        monitor: "val/loss".to_owned(),
        mode: crate::core::recipe::Mode::Min,
        created,
        updated: created,
        tags: if n.is_multiple_of(2) { vec!["baseline".to_owned()] } else { Vec::new() },
        note: String::new(),
        host: "box".to_owned(),
        model: "resnet8".to_owned(),
        message: None,
        pid: None,
        lineage: Lineage::default(),
        problem: None,
    }
}

/// A run's files, with `points` steps measured.
pub fn opened(n: u64, status: RunStatus, points: u64) -> OpenedRun {
    let curve = |f: fn(f64) -> f64| Series::from_points((1..=points).map(|i| (i as f64, f(i as f64))));
    let loss = curve(|x| 2.3 * (-x / 60.0).exp() + 0.1 + 0.08 * (x * 1.7).sin().abs());
    let val = Series::from_points((1..=points / 40).map(|e| (e as f64 * 40.0, 2.0 * (-(e as f64) / 2.0).exp() + 0.2)));
    let latest: Metrics = [("train/loss", loss.last()), ("val/loss", val.last()), ("lr", Some((0.0, 1e-3)))]
        .into_iter()
        .filter_map(|(name, last)| Some((name.to_owned(), last?.1)))
        .collect();
    let mut summary = run(n, "digits-head", status);
    summary.step = points;
    let records = if points > 0 { history(points) } else { Vec::new() };
    OpenedRun {
        mode: crate::core::recipe::Mode::Min,
        optimizer: crate::core::recipe::OptimizerSpec::default(),
        batches: crate::core::fit::BatchSizes::new(32, 1, 1),
        summary,
        lr: 1e-3,
        rules: vec!["freeze **".to_owned(), "train fc".to_owned()],
        monitor: "val/loss".to_owned(),
        records,
        series: vec![("train/loss".to_owned(), loss), ("val/loss".to_owned(), val)],
        times: (1..=points).map(|i| (i, NOW - 900_000 + i * 4_000)).collect(),
        latest,
        notes: Vec::new(),
    }
}

/// A record said `ago` milliseconds before now.
pub fn record(step: u64, ago: u64, event: Event) -> Record {
    Record { time_ms: NOW - ago, step, event }
}

fn history(points: u64) -> Vec<Record> {
    let metrics: Metrics = [("val/loss".to_owned(), 0.4706), ("val/top1".to_owned(), 0.931)].into();
    let written = |step| Event::CheckpointWritten {
        name: format!("step-{step:08}"),
        bytes: 123_456,
        reason: "every_epochs".to_owned(),
    };
    let start = Event::Started { steps: 400, steps_per_epoch: 40, devices: vec!["cpu".to_owned()], resumed_from: None };
    vec![
        record(0, 900_000, start),
        record(points / 2, 300_000, Event::Validation { epoch: 1, metrics }),
        record(points / 2, 299_000, written(points / 2)),
        record(points, 1_000, Event::Warning { message: "2 images could not be read: a.jpg, b.jpg".to_owned() }),
    ]
}

/// Checkpoints, oldest first.
pub fn checkpoints(n: u64) -> Vec<CheckpointRow> {
    let row = |i: u64| CheckpointRow {
        name: format!("step-{:08}", i * 40),
        step: i * 40,
        epoch: i,
        reason: if i == n { "stop".to_owned() } else { "every_epochs".to_owned() },
        metrics: [("val/loss".to_owned(), 2.0 / i as f64), ("val/top1".to_owned(), 0.9)].into(),
        bytes: 123_456 * i,
        time_ms: NOW - (n - i) * 60_000,
        kept: match n - i {
            0 => vec!["newest".to_owned(), "last 3".to_owned(), "best val/loss".to_owned()],
            1 | 2 => vec!["last 3".to_owned()],
            3.. if i % 5 == 1 => vec!["pinned".to_owned()],
            _ => Vec::new(),
        },
        guard: match n - i {
            0 => Some(Guard::Newest),
            3.. if i % 5 == 1 => Some(Guard::Pinned),
            _ => None,
        },
        problem: None,
    };
    (1..=n).map(row).collect()
}

/// The CPU and so many GPUs, some of them at work.
pub fn survey(gpus: u64) -> Survey {
    let cpu = Reading {
        name: "cpu".to_owned(),
        model: "Xeon Platinum 8480C".to_owned(),
        memory_total: 128 << 30,
        memory_free: 101 << 30,
        memory_used: 27 << 30,
        memory_own: Some(310 << 20),
        load: Some(0.17),
        threads: Some(32),
        ..Reading::default()
    };
    let mut devices = vec![cpu];
    devices.extend((0..gpus).map(gpu));
    if gpus == 0 {
        devices.push(Reading::absent(DeviceKind::Cuda, "cuda", "no NVIDIA GPU on this machine"));
    }
    devices.push(Reading::absent(DeviceKind::Mps, "mps", "Apple's GPUs are found on macOS alone"));
    Survey { devices, notes: Vec::new() }
}

fn gpu(i: u64) -> Reading {
    let used = if i.is_multiple_of(2) { 612 << 20 } else { (8 * i + 20) << 30 };
    let busy = !i.is_multiple_of(2);
    let process = |n: u32| DeviceProcess {
        pid: 4200 + 10 * i as u32 + n,
        name: Some(if n == 0 { "python3" } else { "frostline" }.to_owned()),
        memory: Some(used / 2),
        own: n == 1 && i == 1,
    };
    Reading {
        name: format!("cuda:{i}"),
        kind: DeviceKind::Cuda,
        model: "NVIDIA H100 80GB HBM3".to_owned(),
        memory_total: 80 << 30,
        memory_free: (80 << 30) - used,
        memory_used: used,
        memory_own: (i == 1).then_some(used / 2),
        load: Some(if busy { 0.9 + 0.01 * i as f64 } else { 0.0 }),
        capability: Some("9.0".to_owned()),
        temperature: Some(if busy { 60.0 + 4.0 * i as f64 } else { 31.0 }),
        power: Some(if busy { 640.0 } else { 72.0 }),
        power_limit: Some(700.0),
        processes: if busy { vec![process(0), process(1)] } else { Vec::new() },
        pci: Some(format!("00000000:{:02X}:00.0", 0x19 + 0x11 * i)),
        ..Reading::default()
    }
}

/// Two checkpoints whose comparison is on its way.
pub fn diff() -> DiffView {
    let side = |step: u64| Side {
        run: run(1, "", RunStatus::Stopped).id.to_string(),
        run_name: "digits-head".to_owned(),
        name: format!("step-{step:08}"),
        step,
    };
    DiffView::new(side(40), side(120))
}

/// What moved between them.
pub fn drift() -> Drift {
    let t = |name: &str, values: &[f32]| HostTensor::from_f32(name, &[values.len()], values);
    let before = [
        t("conv1.weight", &[1.0, 2.0]),
        t("layer1.0.conv1.weight", &[3.0, 4.0]),
        t("fc.weight", &[1.0]),
        t("fc.bias", &[0.5]),
    ];
    let after = [
        t("conv1.weight", &[1.0, 2.0]),
        t("layer1.0.conv1.weight", &[3.0, 4.5]),
        t("fc.weight", &[1.5]),
        t("fc.bias", &[0.51]),
        t("fc.new", &[1.0]),
    ];
    crate::core::checkpoint::diff::diff(&before, &after)
}

/// A recipe that is sound as it stands.
pub fn recipe(rules: &[&str]) -> Recipe {
    let mut recipe = Recipe { name: Some("digits-head".to_owned()), ..Recipe::default() };
    recipe.model.arch = "resnet8".to_owned();
    recipe.freeze.rules = rules.iter().map(|r| (*r).to_owned()).collect();
    recipe
}

/// What a checkpoint's `state.json` tells.
pub fn facts(step: u64) -> CheckpointFacts {
    CheckpointFacts {
        step_in_epoch: step % 40,
        samples_seen: step * 32,
        lr: 1e-3,
        rules: vec!["freeze **".to_owned(), "train fc".to_owned()],
        best: Some((0.0222, Some(step))),
        files: vec![("optimizer.safetensors".to_owned(), 2_000_000), ("weights.safetensors".to_owned(), 1_000_000)],
        versions: vec![("frostline".to_owned(), "0.1.0".to_owned()), ("libtorch".to_owned(), "2.11.0".to_owned())],
    }
}

/// Runs side by side.
pub fn comparison(n: u64) -> Comparison {
    let names = ["digits-head", "digits-layer2 with a rather long name", "氷の層を溶かす実験"];
    let runs: Vec<RunSummary> = (1..=n)
        .map(|i| {
            let mut run = run(i, names[(i as usize - 1) % 3], RunStatus::Finished);
            run.lineage.forked_from = (i > 1).then(|| "20261125-014501-k3f9@120".to_owned());
            run
        })
        .collect();
    let recipe = |i: u64| {
        let mut recipe = Recipe::default();
        recipe.optimizer.lr = 1e-3 * i as f64;
        recipe.train.batch_size = 32 * i as usize;
        recipe
    };
    let curve = |i: u64, f: fn(f64) -> f64| {
        Series::from_points((1..=60).map(|s| (f64::from(s) * 4.0, f(f64::from(s)) / i as f64)))
    };
    let metrics = [
        ("val/loss", Some(Mode::Min), (|x| 2.0 * (-x / 12.0).exp() + 0.2) as fn(f64) -> f64),
        ("val/top1", Some(Mode::Max), |x| 1.0 - (-x / 12.0).exp()),
        ("train/loss", Some(Mode::Min), |x| 2.3 * (-x / 15.0).exp() + 0.08 * (x * 1.7).sin().abs()),
        ("lr", None, |_| 1e-3),
    ]
    .into_iter()
    .map(|(name, mode, f)| MetricRow::new(name.to_owned(), mode, (1..=n).map(|i| curve(i, f)).collect()))
    .collect();
    let plan = |i: u64| Plan {
        rules: vec!["freeze **".to_owned(), format!("train {}", if i == 2 { "layer2" } else { "fc" })],
        trainable: Some(2 * i as usize),
        frozen: Some(20),
    };
    let recipes: Vec<Recipe> = (1..=n).map(recipe).collect();
    Comparison {
        runs,
        keys: crate::core::run::compare::keys(&recipes),
        metrics,
        plans: (1..=n).map(plan).collect(),
        notes: Vec::new(),
    }
}
