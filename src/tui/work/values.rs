//! Values of tensors, for a look at them: only the newest look counts, since the cursor has moved on from the others.

use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::mpsc::Receiver;

use super::{Job, Places, run_dir};
use crate::app::diff_view::Side;
use crate::app::effect::Effect;
use crate::app::message::Message;
use crate::app::values::{Drifted, From, Look, Moved, Pair};
use crate::core::checkpoint::diff::{Drift, Parts, diff};
use crate::core::checkpoint::{WEIGHTS, prove_weights};
use crate::core::tree::by_module;
use crate::core::weights::{ValueStats, inspect, read_some};
use crate::tui::post::Post;

/// Bins of a histogram. Many numbers divide it, so that it fits most widths.
const BINS: usize = 96;

pub(super) fn work(queue: &Receiver<Job>, places: &Places, post: &Post) {
    while let Ok(first) = queue.recv() {
        let Job::Effect(Effect::ReadValues(look)) = queue.try_iter().last().unwrap_or(first) else { continue };
        let stats = read(places, &look);
        if !post.message(Message::Values { look, stats }) {
            return;
        }
    }
}

/// Compares checkpoints; only the newest pair counts.
pub(super) fn compare(queue: &Receiver<Job>, places: &Places, post: &Post) {
    while let Ok(first) = queue.recv() {
        let (mut pair, mut sides) = (None, None);
        for job in std::iter::once(first).chain(queue.try_iter()) {
            match job {
                Job::Effect(Effect::ReadDrift(new)) => pair = Some(new),
                Job::Effect(Effect::Diff { before, after }) => sides = Some((before, after)),
                _ => {}
            }
        }
        // The user waits for this one.
        if let Some((before, after)) = sides {
            let result = in_full(places, &before, &after, PART).map(Box::new);
            if !post.message(Message::Diffed { before, after, result }) {
                return;
            }
        }
        if let Some(pair) = pair {
            // A checkpoint that has gone meanwhile, or is damaged: there is no column then, and Checkpoints says why.
            let moved = drift(places, &pair).unwrap_or_default();
            if !post.message(Message::Drift(Drifted { pair, moved })) {
                return;
            }
        }
    }
}

/// Bytes of tensors that a comparison holds of each side, more only where a single tensor has more.
const PART: u64 = 256 << 20;

/// Compares two checkpoints part by part, so that large ones need no more memory than small ones. Their bytes are proved first.
fn in_full(places: &Places, before: &Side, after: &Side, most: u64) -> Result<Drift, String> {
    let file = |side: &Side| {
        let folder = run_dir(places, &side.run)?.checkpoints().path().join(&side.name);
        prove_weights(&folder).map_err(|e| e.to_string())?;
        let file = folder.join(WEIGHTS);
        let listing = inspect(&file).map_err(|e| e.to_string())?;
        let tensors = listing.tensors.into_iter().map(|t| (t.name, t.bytes));
        Ok::<_, String>((file, tensors.collect::<Vec<(String, u64)>>()))
    };
    let ((first, mut names), (second, others)) = (file(before)?, file(after)?);
    by_module(&mut names, |(name, _)| name);
    let known: HashSet<String> = names.iter().map(|(name, _)| name.clone()).collect();
    names.extend(others.into_iter().filter(|(name, _)| !known.contains(name)));
    let mut parts = Parts::default();
    let mut rest = names.as_slice();
    while !rest.is_empty() {
        let mut bytes = 0;
        let fits = rest.iter().take_while(|(_, size)| {
            bytes += size;
            bytes <= most
        });
        let (part, later) = rest.split_at(fits.count().clamp(1, rest.len()));
        rest = later;
        let place: HashMap<&str, usize> = part.iter().enumerate().map(|(i, (name, _))| (name.as_str(), i)).collect();
        let read = |file: &Path| {
            let read = read_some(file, None, &|name| place.contains_key(name)).map_err(|e| e.to_string())?;
            let mut tensors = read.into_tensors().map_err(|e| e.to_string())?;
            tensors.sort_by_key(|t| place.get(t.name.as_str()).copied());
            Ok::<_, String>(tensors)
        };
        parts.add(&read(&first)?, &read(&second)?);
    }
    Ok(parts.finish())
}

fn drift(places: &Places, pair: &Pair) -> Option<HashMap<String, Moved>> {
    let store = run_dir(places, &pair.run).ok()?.checkpoints();
    let read =
        |name: &str| read_some(&store.path().join(name).join(WEIGHTS), None, &|_| true).ok()?.into_tensors().ok();
    let drift = diff(&read(&pair.before)?, &read(&pair.after)?);
    let moved = |equal: bool, by: Option<f64>| if equal { Moved::Not } else { Moved::By(by) };
    let tensors = drift.tensors.into_iter().map(|t| (t.name, moved(t.bit_equal, t.relative_l2)));
    let modules = drift.modules.into_iter().map(|m| (m.path, moved(m.bit_equal == m.tensors, m.relative_l2)));
    Some(tensors.chain(modules).collect())
}

fn read(places: &Places, look: &Look) -> Result<ValueStats, String> {
    let names: HashSet<&str> = look.names.iter().map(String::as_str).collect();
    // A checkpoint's file is read by itself: proving the checksums would read all of it.
    let (path, prefix) = match &look.from {
        From::Checkpoint { run, name } => (run_dir(places, run)?.checkpoints().path().join(name).join(WEIGHTS), None),
        From::File { path, prefix } => (path.clone(), prefix.as_deref()),
    };
    let plain = |name: &str| prefix.and_then(|p| name.strip_prefix(p)).unwrap_or(name).to_owned();
    let read = read_some(&path, None, &|name| names.contains(plain(name).as_str())).map_err(|e| e.to_string())?;
    let tensors = read.into_tensors().map_err(|e| e.to_string())?;
    match tensors.is_empty() {
        true => Err(format!("{} has no tensor of this name", path.display())),
        false => Ok(ValueStats::of(&tensors, BINS)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::checkpoint::TrainState;
    use crate::core::recipe::Recipe;
    use crate::core::run::Lineage;
    use crate::core::tensor::HostTensor;

    #[test]
    fn checkpoints_compared_part_by_part_differ_as_those_compared_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let places = Places::in_folder(dir.path());
        let run = places.home.create(&Recipe::default(), Lineage::default()).unwrap();
        let t = |name: &str, values: &[f32]| HostTensor::from_f32(name, &[values.len()], values);
        let first = [t("a.w", &[3.0, 4.0]), t("a.b", &[1.0]), t("b.w", &[0.5; 9]), t("gone", &[1.0])];
        let second = [t("a.w", &[3.0, 4.5]), t("new", &[1.0]), t("a.b", &[1.0]), t("b.w", &[0.25; 9])];
        let write = |step: u64, tensors: &[HostTensor]| {
            let state = TrainState { step, ..TrainState::default() };
            let name = run.checkpoints().write(&state, tensors, &[]).unwrap().name;
            Side { run: run.id().to_string(), run_name: String::new(), name, step }
        };
        let (before, after) = (write(1, &first), write(2, &second));
        let whole = in_full(&places, &before, &after, u64::MAX).unwrap();
        assert_eq!(in_full(&places, &before, &after, 1).unwrap(), whole);
        let by_name = |drift: Drift| {
            let of = |t: crate::core::checkpoint::diff::TensorDrift| (t.name.clone(), t);
            drift.tensors.into_iter().map(of).collect::<std::collections::BTreeMap<_, _>>()
        };
        assert_eq!(by_name(whole), by_name(diff(&first, &second)));
        let file = run.checkpoints().path().join(&after.name).join(WEIGHTS);
        let mut bytes = std::fs::read(&file).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        std::fs::write(&file, bytes).unwrap();
        assert!(in_full(&places, &before, &after, 1).unwrap_err().contains("is damaged"));
    }
}
