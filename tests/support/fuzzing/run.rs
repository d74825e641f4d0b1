//! What a run leaves in its folder, and what is said over its socket.

use std::path::PathBuf;
use std::sync::OnceLock;

use frostline::app::layers::Layers;
use frostline::core::alerts::Watch;
use frostline::core::control::{FromHost, Lines, MAX_ASK, Standing, ToHost, decode, encode};
use frostline::core::event::{Event, Metrics, Record};
use frostline::core::recipe::{Mode, Recipe};
use frostline::core::run::{Lineage, MetricsReader, RunDir, RunHome, RunMeta, metrics, spark::Spark};
use frostline::core::tree::Tree;

/// A run's folder that all inputs of this process are put into, one after the other.
struct Scratch {
    _folder: tempfile::TempDir,
    run: RunDir,
}

fn scratch() -> &'static RunDir {
    static SCRATCH: OnceLock<Scratch> = OnceLock::new();
    &SCRATCH
        .get_or_init(|| {
            let folder = tempfile::tempdir().unwrap();
            let run = RunHome::open(folder.path()).create(&Recipe::default(), Lineage::default()).unwrap();
            Scratch { _folder: folder, run }
        })
        .run
}

/// The first bytes of `metrics.bin`.
const START: &[u8] = b"FLMETR\x01\n";

/// `metrics.bin`: as it is, behind its first bytes, and cut into records (two bytes of length, the payload) with checksums that are right.
pub fn metrics(data: &[u8]) -> usize {
    let mut file = START.to_vec();
    let mut rest = data;
    while let [low, high, more @ ..] = rest {
        let (payload, after) = more.split_at(usize::from(u16::from_le_bytes([*low, *high])).min(more.len()));
        file.extend((payload.len() as u32).to_le_bytes());
        file.extend(crc32fast::hash(payload).to_le_bytes());
        file.extend(payload);
        rest = after;
    }
    read_metrics(&[START, data].concat()) + read_metrics(&file)
}

fn read_metrics(bytes: &[u8]) -> usize {
    let run = scratch();
    let path = run.metrics_path();
    std::fs::write(&path, bytes).unwrap();
    let (table, _) = MetricsReader::read_all(&path).unwrap();
    assert_eq!(table.rows().count(), table.len());
    for name in table.names() {
        assert!(table.column(name).len() <= table.len());
        table.last(name);
    }
    table.rows().for_each(|row| {
        let _ = row.values().count();
    });
    metrics::last_step(&path);
    Spark::read(run, "val/loss", 20);
    // A writer goes on behind whatever is there.
    let mut writer = run.metrics_writer(None).unwrap();
    writer.append(u64::MAX, 0, &[("later", 0.5)]).unwrap();
    drop(writer);
    let (more, dropped) = MetricsReader::read_all(&path).unwrap();
    assert_eq!((more.len(), more.last("later")), (table.len() + 1, Some(0.5)), "{dropped:?}");
    table.len()
}

pub fn metrics_seeds() -> Vec<Vec<u8>> {
    let number = |n: u16| n.to_le_bytes();
    let mut schema = [&[1u8][..], &number(0), &number(2)].concat();
    for name in ["train/loss", "val/loss"] {
        schema.extend(number(name.len() as u16));
        schema.extend(name.as_bytes());
    }
    let row = |step: u64| {
        let mut row = [&[2u8][..], &number(0), &step.to_le_bytes(), &step.to_le_bytes()].concat();
        [0.5f64, f64::NAN].iter().for_each(|v| row.extend(v.to_le_bytes()));
        row
    };
    let rewind = [&[3u8][..], &2u64.to_le_bytes()].concat();
    let records = [schema, row(1), row(2), row(3), rewind, row(3)];
    vec![records.iter().flat_map(|r| [&number(r.len() as u16)[..], r].concat()).collect()]
}

/// `events.jsonl` of a run, and what is made of it: the run list's line, twice (the second time from its cache), and a curve.
pub fn events(data: &[u8]) -> usize {
    let run = scratch();
    std::fs::write(run.events_path(), data).unwrap();
    let _ = std::fs::remove_file(run.path().join("summary.json"));
    let (records, _) = run.events().unwrap();
    let summary = run.summary();
    assert_eq!(summary, run.summary());
    assert_eq!(summary.problem, None);
    serde_json::to_string(&summary).unwrap();
    Spark::read(run, "val/loss", 20);
    fold(&records);
    records.len()
}

/// A viewer's state of the run, and its alerts.
fn fold(records: &[Record]) {
    let mut standing = Standing::default();
    let mut watch = Watch::new("val/loss", Mode::Min, 3);
    for record in records {
        standing.fold(record);
        watch.fold(record);
    }
    let line = encode(&FromHost::Snapshot(standing));
    decode::<FromHost>(&line).unwrap();
}

fn said() -> Vec<Record> {
    let values = |v: f64| Metrics::from([("val/loss".to_owned(), v), ("train/loss".to_owned(), f64::NAN)]);
    let events = [
        Event::Started { steps: 100, steps_per_epoch: 10, devices: vec!["cpu".into()], resumed_from: None },
        Event::Validation { epoch: 0, metrics: values(0.5) },
        Event::Warning { message: "w".into() },
        Event::Paused,
        Event::Continued,
        Event::Reply { id: 7, result: Ok("paused".into()) },
        Event::Stopped { reason: "user".into() },
        Event::Started { steps: 100, steps_per_epoch: 10, devices: vec!["cpu".into()], resumed_from: Some(10) },
        Event::Validation { epoch: 1, metrics: values(0.25) },
        Event::Finished { metrics: values(0.25) },
    ];
    let record = |(i, event)| Record { time_ms: 1_790_000_000_000 + i as u64, step: 3 * i as u64, event };
    events.into_iter().enumerate().map(record).collect()
}

pub fn events_seeds() -> Vec<Vec<u8>> {
    vec![said().iter().flat_map(encode).collect()]
}

/// What comes over the socket, at either end.
pub fn control(data: &[u8]) -> usize {
    let mut lines = Lines::new(MAX_ASK);
    let mut known = 0;
    for part in data.chunks(data.len() / 2 + 1) {
        lines.feed(part, |line| {
            if let Ok(line) = line {
                known += usize::from(decode::<ToHost>(line).is_ok()) + hear(line);
            }
        });
        assert!(lines.held() <= MAX_ASK);
    }
    known
}

fn hear(line: &[u8]) -> usize {
    let message = match decode::<FromHost>(line) {
        Ok(message) => message,
        Err(words) => {
            assert!(!words.contains('\n'), "{words:?}");
            return 0;
        }
    };
    match &message {
        FromHost::Event(record) => fold(std::slice::from_ref(record)),
        FromHost::Steps(steps) => fold(&steps.records().collect::<Vec<_>>()),
        FromHost::Tree { tree } => look_at(tree.clone()),
        _ => {}
    }
    usize::from(message != FromHost::Unknown)
}

/// A layer tree as a viewer shows it.
pub fn look_at(tree: Tree) {
    let (mut layers, _) = Layers::new(tree, vec!["freeze **".into(), "train preset:last:1".into()]);
    layers.rows();
    layers.totals();
    layers.frost_line();
    layers.fold_all();
    let _ = layers.set_filter("**.weight");
    layers.rows();
}

pub fn control_seeds() -> Vec<Vec<u8>> {
    let tree = super::text::tree();
    let mut host: Vec<u8> = said().into_iter().flat_map(|r| encode(&FromHost::Event(r))).collect();
    host.extend(encode(&FromHost::Tree { tree }));
    host.extend(br#"{"type":"hello","protocol":1,"frostline":"0.1.0","run":"20261125-032042-8b6a","pid":4711}
{"type":"steps","columns":["lr","train/loss"],"rows":[[121,0,1790000000121,[0.001,0.5]],[122,0,1790000000122,[0.001,null]]]}
{"type":"lagged","missed":812}
{"type":"answer","id":8,"error":"lr = -1"}
{"type":"bye","reason":"stopped"}
"#);
    let viewer = br#"{"type":"watch","steps":true}
{"type":"command","id":7,"command":"pause"}
{"type":"command","id":11,"command":"stop","reason":"user"}
{"type":"command","id":12,"command":"freeze","rules":["freeze layer1"]}
{"type":"command","id":13,"command":"set_lr","lr":0.0001}
"#;
    vec![host, viewer.to_vec()]
}

/// `run.toml`.
pub fn run_toml(text: &str) -> usize {
    let Ok(meta) = RunMeta::from_toml(text) else { return 0 };
    let again = RunMeta::from_toml(&meta.to_toml().unwrap()).unwrap();
    assert_eq!(again.to_toml().unwrap(), meta.to_toml().unwrap());
    1
}

pub fn run_toml_seed() -> Vec<u8> {
    let path: PathBuf = scratch().path().join("run.toml");
    std::fs::read(path).unwrap()
}
