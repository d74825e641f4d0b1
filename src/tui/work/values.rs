//! Values of tensors, for a look at them: only the newest look counts, since the cursor has moved on from the others.

use std::collections::{HashMap, HashSet};
use std::sync::mpsc::Receiver;

use super::{Job, Places};
use crate::app::effect::Effect;
use crate::app::message::Message;
use crate::app::values::{Drifted, From, Look, Moved, Pair};
use crate::core::checkpoint::WEIGHTS;
use crate::core::checkpoint::diff::diff;
use crate::core::weights::{ValueStats, read_some};
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
        let Job::Effect(Effect::ReadDrift(pair)) = queue.try_iter().last().unwrap_or(first) else { continue };
        // A checkpoint that has gone meanwhile, or is damaged: there is no column then, and Checkpoints says why.
        let moved = drift(places, &pair).unwrap_or_default();
        if !post.message(Message::Drift(Drifted { pair, moved })) {
            return;
        }
    }
}

fn drift(places: &Places, pair: &Pair) -> Option<HashMap<String, Moved>> {
    let store = places.home.find(&pair.run).ok()?.checkpoints();
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
        From::Checkpoint { run, name } => {
            let run = places.home.find(run).map_err(|e| e.to_string())?;
            (run.checkpoints().path().join(name).join(WEIGHTS), None)
        }
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
