//! What single values cannot tell: keys that exclude or need each other, or have no meaning for the chosen kind.

use super::document::{Node, Value};
use super::error::{Place, Problem};
use super::schema;
use super::*;
use crate::core::hub;

/// All problems of a recipe whose values are fine one by one. `document` says where they were written.
pub(super) fn check(document: &Node, recipe: &Recipe) -> Vec<Problem> {
    let mut found = Found { document, problems: Vec::new() };
    found.kinds(recipe);
    found.names(recipe);
    if let FreezeSchedule::Phases(phases) = &recipe.freeze.schedule {
        found.phases(phases);
    }
    found.data(&recipe.data);
    found.optimizer(&recipe.optimizer, &recipe.lr_schedule);
    found.train(recipe);
    if recipe.loss.class_weights.iter().sum::<f64>() == 0.0 && !recipe.loss.class_weights.is_empty() {
        found.add("loss.class_weights", "all are 0; at least one class must count");
    }
    found.problems
}

struct Found<'a> {
    document: &'a Node,
    problems: Vec<Problem>,
}

impl Found<'_> {
    /// The place is that of the key, or of the closest table around it that was written.
    fn add(&mut self, key: &str, message: impl Into<String>) {
        let mut written = key;
        let place = loop {
            match (self.document.get(written), written.rsplit_once(['.', '['])) {
                (Some(node), _) => break node.place.clone(),
                (None, Some((above, _))) => written = above,
                (None, None) => break Place::Whole,
            }
        };
        self.problems.push(Problem::new(place, key, message));
    }

    /// A value that the chosen kind ignores is refused, unless it is the default (which a resolved recipe spells out).
    fn kinds(&mut self, recipe: &Recipe) {
        let (Ok(actual), Ok(default)) = (toml::Value::try_from(recipe), toml::Value::try_from(Recipe::default()))
        else {
            return self.add("", "the recipe cannot be written as TOML; whole numbers end at 9223372036854775807");
        };
        for (key, field) in schema::all_keys() {
            let Some((decider, choices)) = field.only else { continue };
            let Some((section, _)) = key.split_once('.') else { continue };
            let decider = format!("{section}.{decider}");
            let chosen = at(&actual, &decider).and_then(toml::Value::as_str).unwrap_or_default();
            if !choices.contains(&chosen) && at(&actual, &key) != at(&default, &key) {
                let belongs = choices.iter().map(|c| format!("{c:?}")).collect::<Vec<_>>().join(", ");
                self.add(
                    &key,
                    format!("has no meaning with {decider} = {chosen:?}, only with {belongs}; leave it out"),
                );
            }
        }
    }

    fn names(&mut self, recipe: &Recipe) {
        if let Some(name) = &recipe.name
            && (name.contains(|c: char| c.is_control() || matches!(c, '@' | '/')) || name == "last")
        {
            self.add("name", format!("{name:?} cannot be a name: no `@` or `/`, no control characters, and not `last`, so that RUN@step stays clear"));
        }
        if let Some(weights) = recipe.model.weights.as_deref().filter(|w| hub::is_name(w))
            && let Err(words) = hub::find(&recipe.model.arch, weights)
        {
            self.add("model.weights", words);
        }
        if recipe.model.arch == "torchscript:" {
            self.add("model.arch", "the path after \"torchscript:\" is missing");
        }
        for (key, path) in [
            ("model.weights", recipe.model.weights.as_deref()),
            ("data.path", recipe.data.path.as_ref().and_then(|p| p.to_str())),
        ] {
            if path.is_some_and(|p| p.split(['/', '\\']).any(|part| part == "~")) {
                self.add(key, "`~` is not expanded; write the whole path, or one relative to the recipe's folder");
            }
        }
    }

    /// Phases are taken in order, so a time before that of an earlier phase was not meant.
    fn phases(&mut self, phases: &[PhaseSpec]) {
        for (i, phase) in phases.iter().enumerate() {
            let key = format!("freeze.schedule[{i}]");
            if phase.rules.is_empty() {
                self.add(&format!("{key}.rules"), "missing; say what the phase changes, as in [\"train layer3\"]");
            }
            let late = |before: &&PhaseSpec| match (before.at, phase.at) {
                (When::Epoch(a), When::Epoch(b)) | (When::Step(a), When::Step(b)) => a > b,
                _ => false,
            };
            if let Some(before) = phases[..i].iter().find(late) {
                let words =
                    format!("{:?} comes before {:?} of an earlier phase", phase.at.to_string(), before.at.to_string());
                self.add(&format!("{key}.at"), format!("{words}; phases are taken in order, so sort them"));
            }
        }
    }

    fn data(&mut self, data: &DataSpec) {
        if data.source != SourceKind::Digits && data.path.is_none() {
            let what = match data.source {
                SourceKind::ImageFolder => "the folder that holds class/name.jpg, or train/ and val/",
                SourceKind::Cifar10 => "the folder of data_batch_1.bin … test_batch.bin",
                SourceKind::Mnist => "the folder of train-images-idx3-ubyte[.gz] and its companions",
                SourceKind::Tensors | SourceKind::Digits => "a .safetensors or .npz file with x and y",
            };
            self.add("data.path", format!("missing; this source needs {what}"));
        }
        if let Normalize::Values { mean, std } = &data.normalize
            && mean.len() != std.len()
        {
            self.add(
                "data.normalize",
                format!("mean has {} values and std {}; give one a channel in both", mean.len(), std.len()),
            );
        }
        if let (Some(resize), Some(size)) = (data.resize_size, data.image_size)
            && resize < size
        {
            let words = format!("{resize} is less than data.image_size = {size}, the square that is cut from it");
            self.add("data.resize_size", words);
        }
        for (i, class) in data.classes.iter().enumerate() {
            if data.classes[..i].contains(class) {
                self.add(
                    "data.classes",
                    format!(
                        "{} is listed twice",
                        match class {
                            ClassRef::Index(n) => n.to_string(),
                            ClassRef::Name(name) => format!("{name:?}"),
                        }
                    ),
                );
            }
        }
        if data.classes.len() == 1 {
            self.add(
                "data.classes",
                "one class alone leaves nothing to tell apart; name at least two, or none for all",
            );
        }
    }

    fn optimizer(&mut self, optimizer: &OptimizerSpec, schedule: &LrScheduleSpec) {
        // torch.optim.SGD: "Nesterov momentum requires a momentum and zero dampening".
        if optimizer.kind == OptimizerKind::Sgd
            && optimizer.nesterov
            && (optimizer.momentum <= 0.0 || optimizer.dampening != 0.0)
        {
            self.add("optimizer.nesterov", "needs momentum above 0 and dampening 0");
        }
        match schedule.kind {
            LrScheduleKind::MultiStep if schedule.milestones.is_empty() => {
                self.add(
                    "lr_schedule.milestones",
                    "missing; kind = \"multi-step\" needs the epochs at which the rate drops, as [30, 60]",
                );
            }
            LrScheduleKind::MultiStep if !schedule.milestones.is_sorted_by(|a, b| a < b) => {
                self.add("lr_schedule.milestones", "must rise from one to the next, each epoch once");
            }
            LrScheduleKind::Plateau if schedule.gamma >= 1.0 => {
                self.add("lr_schedule.gamma", "must be below 1 with kind = \"plateau\"");
            }
            _ => {}
        }
    }

    fn train(&mut self, recipe: &Recipe) {
        let devices = &recipe.train.devices;
        for (i, device) in devices.iter().enumerate() {
            let key = "train.devices";
            if !is_device(device) {
                self.add(
                    key,
                    format!(
                        "{device:?} is no device; use \"auto\", \"all\", \"cpu\", \"cuda:0\" (one name each), \"mps\""
                    ),
                );
            } else if devices[..i].contains(device) {
                self.add(key, format!("{device:?} is listed twice"));
            } else if devices.len() > 1 && matches!(device.as_str(), "auto" | "all") {
                self.add(key, format!("{device:?} chooses by itself and stands alone"));
            }
        }
        if devices.iter().any(|d| d.starts_with("cpu")) && devices.iter().any(|d| d.starts_with("cuda") || d == "mps") {
            self.add("train.devices", "CPU and GPU cannot share one run; name devices of one kind");
        }
        if recipe.train.cudnn_benchmark && recipe.train.deterministic {
            let words = "takes the algorithm that was fastest this time, which deterministic = true forbids; leave one of them out";
            self.add("train.cudnn_benchmark", words);
        }
        self.metric("checkpoint.monitor", &recipe.checkpoint.monitor);
        for (i, best) in recipe.checkpoint.best.iter().enumerate() {
            self.metric(&format!("checkpoint.best[{i}].metric"), &best.metric);
        }
    }

    fn metric(&mut self, key: &str, monitor: &str) {
        if !(monitor.starts_with("val/") || monitor.starts_with("train/")) || monitor.ends_with('/') {
            let known = ["val/loss", "val/top1", "val/top5", "train/loss"];
            let hint = known
                .into_iter()
                .find(|m| m.rsplit('/').next() == Some(monitor))
                .or_else(|| super::check::nearest(monitor, known, 0.8).filter(|_| !monitor.ends_with('/')))
                .map_or_else(String::new, |near| format!("did you mean {near:?}? "));
            self.add(
                key,
                format!("{monitor:?} is no metric of a run; {hint}metrics are named \"val/…\" or \"train/…\""),
            );
        }
    }
}

/// PyTorch's device names, and the two words that choose.
fn is_device(name: &str) -> bool {
    let numbered = |kind: &str| {
        name.strip_prefix(kind)
            .and_then(|rest| rest.strip_prefix(':'))
            .is_some_and(|n| n.parse::<u16>().is_ok_and(|i| i.to_string() == n))
    };
    matches!(name, "auto" | "all" | "cpu" | "cuda" | "mps") || numbered("cpu") || numbered("cuda")
}

fn at<'a>(value: &'a toml::Value, key: &str) -> Option<&'a toml::Value> {
    key.split('.').try_fold(value, |value, part| value.get(part))
}

/// Drops what a `--set` replaces: the other end or interval, and values that the newly set kind has no use for.
pub(super) fn make_room(document: &mut Node) {
    let is_set = |node: &Node| matches!(node.place, Place::Set(_));
    let was_set = |document: &Node, key: &str| document.get(key).is_some_and(is_set);
    for group in schema::ALTERNATIVES {
        if group.iter().any(|key| was_set(document, key)) {
            for key in *group {
                document.remove_if(key, |node| !is_set(node));
            }
        }
    }
    // The size before cropping belongs to the size of the crop.
    if was_set(document, "data.image_size") {
        document.remove_if("data.resize_size", |node| !is_set(node));
    }
    for (key, field) in schema::all_keys() {
        let (Some((decider, choices)), Some((section, _))) = (field.only, key.split_once('.')) else { continue };
        let useless = match document.get(&format!("{section}.{decider}")) {
            Some(node) if is_set(node) => matches!(&node.value, Value::Text(kind) if !choices.contains(&kind.as_str())),
            _ => false,
        };
        if useless {
            document.remove_if(&key, |node| !is_set(node));
        }
    }
}
