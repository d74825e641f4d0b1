//! What a recipe may say: every key with the values it takes, as one table. The checks, the messages and the
//! documentation's test read it; a test holds it against the types.

/// What a key takes.
#[derive(Debug)]
pub(super) enum Kind {
    /// Any text.
    Text,
    /// A text that is not empty.
    Word,
    /// `true` or `false`.
    Bool,
    /// A whole number of at least so much.
    Whole(i64),
    /// A finite number within limits.
    Number(Limits),
    /// One of these texts.
    Choice(&'static [&'static str]),
    /// A list of so many (from, to) of these.
    List(&'static Kind, usize, usize),
    /// A table with these keys.
    Table(&'static [Field]),
    /// When something happens: a [`When`].
    Time,
    /// A freeze rule; what it matches is known only with the model.
    Rule,
    /// A pattern of parameters' names.
    Pattern,
    /// Any one of these.
    Either(&'static [Kind]),
    /// A whole number from the first to the second.
    Within(i64, i64),
}

/// Limits of a number; the bounds themselves are allowed where not open.
#[derive(Debug)]
pub(super) struct Limits {
    pub from: f64,
    pub from_open: bool,
    pub to: f64,
    pub to_open: bool,
}

/// A key, what it takes, and for which `kind` of its section it is meant.
#[derive(Debug)]
pub(super) struct Field {
    pub key: &'static str,
    pub kind: Kind,
    /// The deciding key of the section (`kind`, `source`) and the choices for which this key has a meaning.
    pub only: Option<(&'static str, &'static [&'static str])>,
}

const fn f(key: &'static str, kind: Kind) -> Field {
    Field { key, kind, only: None }
}

const fn only(key: &'static str, kind: Kind, decider: &'static str, choices: &'static [&'static str]) -> Field {
    Field { key, kind, only: Some((decider, choices)) }
}

const fn limits(from: f64, from_open: bool, to: f64, to_open: bool) -> Limits {
    Limits { from, from_open, to, to_open }
}

const MANY: usize = usize::MAX;
/// More than any machine has samples, or values in a row; products of two of these are still numbers.
const COUNT: Kind = Kind::Within(1, 1_000_000_000);
/// What JPEG can hold.
const SIDE: Kind = Kind::Within(1, 65_535);
/// Far above the cores of a machine. More would end the process without a word, when the system gives no further thread.
const THREADS: Kind = Kind::Within(0, 1024);
const POSITIVE: Kind = Kind::Number(limits(0.0, true, f64::INFINITY, true));
const NOT_NEGATIVE: Kind = Kind::Number(limits(0.0, false, f64::INFINITY, true));
const FRACTION: Kind = Kind::Number(limits(0.0, false, 1.0, false));
const BELOW_ONE: Kind = Kind::Number(limits(0.0, false, 1.0, true));
const DECAY: Kind = Kind::Number(limits(0.0, true, 1.0, false));
const FINITE: Kind = Kind::Number(limits(f64::NEG_INFINITY, true, f64::INFINITY, true));

/// The whole recipe.
pub(super) const RECIPE: &[Field] = &[
    f("name", Kind::Word),
    f("tags", Kind::List(&Kind::Word, 0, MANY)),
    f("note", Kind::Text),
    f("model", Kind::Table(MODEL)),
    f("data", Kind::Table(DATA)),
    f("freeze", Kind::Table(FREEZE)),
    f("loss", Kind::Table(LOSS)),
    f("optimizer", Kind::Table(OPTIMIZER)),
    f("lr_schedule", Kind::Table(LR_SCHEDULE)),
    f("train", Kind::Table(TRAIN)),
    f("checkpoint", Kind::Table(CHECKPOINT)),
];

const MODEL: &[Field] = &[
    f("arch", Kind::Word),
    f("num_classes", COUNT),
    f("weights", Kind::Word),
    f("load", Kind::Table(LOAD)),
    f("hidden", Kind::List(&COUNT, 0, MANY)),
    f("dropout", BELOW_ONE),
    f("stochastic_depth", BELOW_ONE),
    f("width", COUNT),
];

const LOAD: &[Field] = &[
    f("strict", Kind::Bool),
    f("head", Kind::Choice(&["keep", "new"])),
    f("key", Kind::Word),
    f("strip_prefix", Kind::Word),
    f("drop", Kind::List(&Kind::Word, 0, MANY)),
    f("rename", Kind::List(&Kind::List(&Kind::Text, 2, 2), 0, MANY)),
];

const DATA: &[Field] = &[
    f("source", Kind::Choice(&["digits", "image-folder", "cifar10", "mnist", "tensors"])),
    only("path", Kind::Word, "source", &["image-folder", "cifar10", "mnist", "tensors"]),
    f("classes", Kind::List(&Kind::Either(&[Kind::Whole(0), Kind::Word]), 0, MANY)),
    f("val_fraction", BELOW_ONE),
    f("image_size", SIDE),
    f("resize_size", SIDE),
    f("interpolation", Kind::Choice(&["bilinear", "bicubic"])),
    f("normalize", Kind::Either(&[Kind::Choice(&["imagenet", "none"]), Kind::Table(NORMALIZE)])),
    f("augment", Kind::List(&Kind::Choice(AUGMENT), 0, MANY)),
    f("workers", THREADS),
    f("on_bad_image", Kind::Choice(&["skip", "stop"])),
];

const AUGMENT: &[&str] = &[
    "random-resized-crop",
    "random-crop",
    "horizontal-flip",
    "vertical-flip",
    "random-rotation",
    "color-jitter",
    "random-erasing",
];

const NORMALIZE: &[Field] = &[f("mean", Kind::List(&FINITE, 1, MANY)), f("std", Kind::List(&POSITIVE, 1, MANY))];

const FREEZE: &[Field] = &[
    f("rules", Kind::List(&Kind::Rule, 0, MANY)),
    f("batch_norm", Kind::Choice(&["eval_when_frozen", "pytorch"])),
    f("patience", Kind::Whole(1)),
    f("schedule", Kind::Either(&[Kind::List(&Kind::Table(PHASE), 0, MANY), Kind::Choice(&["gradual"])])),
    f("frozen_dropout", Kind::Choice(&["on", "off"])),
    f("optimizer_state", Kind::Choice(&["keep", "drop"])),
];

const PHASE: &[Field] = &[f("at", Kind::Time), f("rules", Kind::List(&Kind::Rule, 1, MANY)), f("lr_scale", POSITIVE)];

const CROSS_ENTROPY: &[&str] = &["cross-entropy"];
const LOSS: &[Field] = &[
    f("kind", Kind::Choice(&["cross-entropy", "mse", "l1", "smooth-l1", "bce"])),
    only("label_smoothing", FRACTION, "kind", CROSS_ENTROPY),
    only("class_weights", Kind::List(&NOT_NEGATIVE, 0, MANY), "kind", CROSS_ENTROPY),
];

const SGD: &[&str] = &["sgd"];
const ADAMS: &[&str] = &["adam", "adamw"];
const OPTIMIZER: &[Field] = &[
    f("kind", Kind::Choice(&["sgd", "adam", "adamw"])),
    f("lr", NOT_NEGATIVE),
    f("weight_decay", NOT_NEGATIVE),
    only("momentum", NOT_NEGATIVE, "kind", SGD),
    only("dampening", FINITE, "kind", SGD),
    only("nesterov", Kind::Bool, "kind", SGD),
    only("betas", Kind::List(&BELOW_ONE, 2, 2), "kind", ADAMS),
    only("eps", NOT_NEGATIVE, "kind", ADAMS),
    only("amsgrad", Kind::Bool, "kind", ADAMS),
    f("no_decay_norm_bias", Kind::Bool),
    f("layer_decay", DECAY),
    f("groups", Kind::List(&Kind::Table(GROUP), 0, MANY)),
];

const GROUP: &[Field] = &[f("match", Kind::Pattern), f("lr", NOT_NEGATIVE), f("weight_decay", NOT_NEGATIVE)];

const LR_SCHEDULE: &[Field] = &[
    f("kind", Kind::Choice(&["constant", "step", "multi-step", "cosine", "one-cycle", "plateau"])),
    f("warmup_steps", Kind::Whole(0)),
    f("warmup_start_factor", DECAY),
    only("step_size", Kind::Whole(1), "kind", &["step"]),
    only("milestones", Kind::List(&Kind::Whole(1), 0, MANY), "kind", &["multi-step"]),
    only("gamma", DECAY, "kind", &["step", "multi-step", "plateau"]),
    only("min_factor", FRACTION, "kind", &["cosine", "plateau"]),
    only("pct_start", FRACTION, "kind", &["one-cycle"]),
    only("div_factor", Kind::Number(limits(1.0, false, f64::INFINITY, true)), "kind", &["one-cycle"]),
    only("final_div_factor", POSITIVE, "kind", &["one-cycle"]),
    only("patience", Kind::Whole(0), "kind", &["plateau"]),
    only("threshold", BELOW_ONE, "kind", &["plateau"]),
];

const TRAIN: &[Field] = &[
    f("epochs", Kind::Whole(1)),
    f("steps", Kind::Whole(1)),
    f("batch_size", Kind::Either(&[COUNT, Kind::Choice(&["auto"])])),
    f("accumulate_grad_batches", COUNT),
    f("clip_grad_norm", POSITIVE),
    f("precision", Kind::Choice(&["fp32", "tf32", "bf16", "fp16"])),
    f("channels_last", Kind::Bool),
    f("cudnn_benchmark", Kind::Bool),
    f("seed", Kind::Whole(0)),
    f("devices", Kind::List(&Kind::Word, 1, MANY)),
    f("shuffle", Kind::Bool),
    f("drop_last", Kind::Bool),
    f("on_nan", Kind::Choice(&["stop", "skip", "ignore"])),
    f("probe", Kind::Bool),
    f("audit_after_steps", Kind::Whole(0)),
    f("deterministic", Kind::Bool),
    f("threads", THREADS),
    f("early_stopping_patience", Kind::Whole(0)),
    f("validate_every_epochs", Kind::Whole(1)),
    f("validate_every_steps", Kind::Whole(1)),
];

const CHECKPOINT: &[Field] = &[
    f("every_steps", Kind::Whole(1)),
    f("every_epochs", Kind::Whole(1)),
    f("every_minutes", POSITIVE),
    f("keep_last", Kind::Whole(1)),
    f("keep_best", Kind::Whole(0)),
    f("keep_every", Kind::Whole(1)),
    f("monitor", Kind::Word),
    f("mode", MODE),
    f("best", Kind::List(&Kind::Table(BEST), 0, MANY)),
];

const MODE: Kind = Kind::Choice(&["min", "max"]);
const BEST: &[Field] = &[f("metric", Kind::Word), f("mode", MODE), f("keep", Kind::Whole(1))];

/// The keys of which a `--set` of one replaces the others.
pub(super) const ALTERNATIVES: &[&[&str]] = &[
    &["train.epochs", "train.steps"],
    &["checkpoint.every_steps", "checkpoint.every_epochs", "checkpoint.every_minutes"],
];

impl Limits {
    pub fn allow(&self, x: f64) -> bool {
        let above = if self.from_open { x > self.from } else { x >= self.from };
        let below = if self.to_open { x < self.to } else { x <= self.to };
        x.is_finite() && above && below
    }

    fn words(&self) -> String {
        let from = match (self.from.is_finite(), self.from_open) {
            (false, _) => String::new(),
            (true, true) => format!(" above {}", self.from),
            (true, false) => format!(" of at least {}", self.from),
        };
        let to = match (self.to.is_finite(), self.to_open) {
            (false, _) => String::new(),
            (true, true) => format!(" below {}", self.to),
            (true, false) => format!(" at most {}", self.to),
        };
        match (from.is_empty(), to.is_empty()) {
            (true, true) => "a finite number".to_owned(),
            (false, false) => format!("a number{from} and{to}"),
            _ => format!("a finite number{from}{to}"),
        }
    }
}

impl Kind {
    /// What is allowed, in words.
    pub fn words(&self) -> String {
        match self {
            Self::Text | Self::Word | Self::Rule | Self::Pattern => "a text in quotes".to_owned(),
            Self::Bool => "true or false".to_owned(),
            // Nobody comes near the upper end but by a slip, which is told of by itself.
            Self::Whole(min) | Self::Within(min, _) => format!("a whole number of at least {min}"),
            Self::Number(limits) => limits.words(),
            Self::Choice(choices) => {
                let quoted: Vec<_> = choices.iter().map(|c| format!("{c:?}")).collect();
                format!("{}{}", if choices.len() > 1 { "one of " } else { "" }, quoted.join(", "))
            }
            Self::List(of, 2, 2) => format!("a list of two, each {}", of.words()),
            Self::List(of, min, _) => {
                let some = if *min > 0 { "a list of at least one" } else { "a list" };
                format!("{some}, each {}", of.words())
            }
            Self::Table(fields) => format!("a table with {}", keys(fields)),
            Self::Either(kinds) => kinds.iter().map(Kind::words).collect::<Vec<_>>().join(", or "),
            Self::Time => "\"epoch 3\", \"step 500\" or \"plateau\"".to_owned(),
        }
    }
}

/// Names of keys, for messages.
pub(super) fn keys(fields: &[Field]) -> String {
    fields.iter().map(|field| field.key).collect::<Vec<_>>().join(", ")
}

/// The field of a dotted key, and whether the key's parents are all tables of the recipe.
pub(super) fn find(key: &str) -> Option<&'static Field> {
    let mut fields = RECIPE;
    let mut found = None;
    for part in key.split('.') {
        found = Some(fields.iter().find(|field| field.key == part)?);
        fields = match found.map(|field| &field.kind) {
            Some(Kind::Table(inner)) => inner,
            _ => &[],
        };
    }
    found
}

/// Whether a recipe can have this dotted key; an element of a list by its number, as `optimizer.groups.0.lr`.
pub fn has_key(key: &str) -> bool {
    fn below(kind: &Kind, parts: &[&str]) -> bool {
        let [part, rest @ ..] = parts else { return true };
        match kind {
            Kind::Table(fields) => fields.iter().any(|f| f.key == *part && below(&f.kind, rest)),
            Kind::List(of, ..) => part.parse::<usize>().is_ok() && below(of, rest),
            Kind::Either(kinds) => kinds.iter().any(|kind| below(kind, parts)),
            _ => false,
        }
    }
    below(&Kind::Table(RECIPE), &key.split('.').collect::<Vec<_>>())
}

/// The key of a recipe that is most like this one, if one is like it at all.
pub fn nearest_key(key: &str) -> Option<String> {
    let all = all_keys();
    super::check::nearest(key, all.iter().map(|(key, _)| key.as_str()), 0.8).map(str::to_owned)
}

/// Every dotted key that takes a value, in the table's order.
pub(super) fn all_keys() -> Vec<(String, &'static Field)> {
    fn walk(prefix: &str, fields: &'static [Field], out: &mut Vec<(String, &'static Field)>) {
        for field in fields {
            let key = format!("{prefix}{}", field.key);
            match field.kind {
                Kind::Table(inner) => walk(&format!("{key}."), inner, out),
                _ => out.push((key, field)),
            }
        }
    }
    let mut out = Vec::new();
    walk("", RECIPE, &mut out);
    out
}
