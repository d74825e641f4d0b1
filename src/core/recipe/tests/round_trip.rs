//! Random recipes: written and read back, and texts that must not break the parser.

use std::path::Path;

use proptest::prelude::*;

use super::MLP;
use crate::core::recipe::*;

fn word() -> impl Strategy<Value = String> {
    "[ -~äß雪\n]{0,8}x"
}

fn positive() -> impl Strategy<Value = f64> {
    prop_oneof![1e-12f64..1e12, Just(f64::MIN_POSITIVE), Just(1e300)]
}

fn model() -> impl Strategy<Value = ModelSpec> {
    let load = (any::<bool>(), any::<bool>(), prop::option::of(word()), prop::collection::vec(word(), 0..3))
        .prop_flat_map(|(strict, new, strip_prefix, drop)| {
            prop::collection::vec((word(), ".*"), 0..3).prop_map(move |rename| LoadSpec {
                strict,
                head: if new { Head::New } else { Head::Keep },
                key: strip_prefix.clone(),
                strip_prefix: strip_prefix.clone(),
                drop: drop.clone(),
                rename,
            })
        });
    let sizes = (
        prop::option::of(1usize..1000),
        prop::collection::vec(1usize..99, 0..3),
        1usize..99,
        prop::option::of(0.0f64..0.99),
    );
    ("[a-z0-9]{1,8}", prop::option::of("[A-Z0-9_]{1,8}@[0-9]|/[a-z]{1,5}\\.pth"), load, sizes).prop_map(
        |(arch, weights, load, (num_classes, hidden, width, dropout))| ModelSpec {
            arch,
            num_classes,
            weights,
            load,
            hidden,
            dropout,
            stochastic_depth: dropout,
            width,
        },
    )
}

fn data() -> impl Strategy<Value = DataSpec> {
    let normalize = prop_oneof![
        Just(Normalize::Named(NamedNormalize::Imagenet)),
        Just(Normalize::Named(NamedNormalize::None)),
        prop::collection::vec((-1e6f32..1e6, 1e-6f32..1e6), 1..4).prop_map(|v| {
            let (mean, std) = v.into_iter().unzip();
            Normalize::Values { mean, std }
        }),
    ];
    let class = prop_oneof![(0usize..99).prop_map(ClassRef::Index), word().prop_map(ClassRef::Name)];
    let classes = prop_oneof![Just(Vec::new()), prop::collection::vec(class, 2..5)];
    let augment = prop::collection::vec(
        prop::sample::select(vec![Augment::RandomResizedCrop, Augment::HorizontalFlip, Augment::ColorJitter]),
        0..3,
    );
    (prop::option::of("/[a-z ]{1,9}"), classes, 0.0f64..0.999, prop::option::of(1usize..999), normalize, augment)
        .prop_map(|(path, mut classes, val_fraction, image_size, normalize, augment)| {
            classes.sort_by_key(|class| format!("{class:?}"));
            classes.dedup();
            if classes.len() < 2 {
                classes.clear();
            }
            DataSpec {
                source: if path.is_some() { SourceKind::Tensors } else { SourceKind::Digits },
                path: path.map(|p| std::path::absolute(p).unwrap()),
                classes,
                val_fraction,
                image_size,
                normalize,
                augment,
                ..DataSpec::default()
            }
        })
}

fn optimizer() -> impl Strategy<Value = OptimizerSpec> {
    let group = ("[a-z]{1,6}(\\.[0-9])?(\\.\\*\\*)?", prop::option::of(positive()), prop::option::of(positive()))
        .prop_map(|(pattern, lr, weight_decay)| GroupSpec { pattern, lr, weight_decay });
    let groups = prop::collection::vec(group, 0..3);
    (any::<bool>(), positive(), prop::option::of(positive()), 0.1f64..0.99, groups).prop_map(
        |(sgd, lr, weight_decay, x, groups)| {
            let common = OptimizerSpec { lr, weight_decay, groups, ..OptimizerSpec::default() };
            if sgd {
                OptimizerSpec { kind: OptimizerKind::Sgd, momentum: x, nesterov: true, ..common }
            } else {
                OptimizerSpec { betas: (x, 0.999), amsgrad: true, eps: lr, ..common }
            }
        },
    )
}

prop_compose! {
    fn recipes()(
        name in word(), tags in prop::collection::vec(word(), 0..3), note in ".*",
        model in model(), data in data(), optimizer in optimizer(),
        rules in prop::collection::vec(prop::sample::select(vec!["freeze **", "train fc", "no_grad conv1"]), 0..3),
        seed in 0..=i64::MAX as u64, epochs in prop::option::of(1u64..1000), clip in prop::option::of(positive()),
        minutes in prop::option::of(positive()), smoothing in 0.0f64..=1.0,
    ) -> Recipe {
        let mut recipe = Recipe { name: Some(name.replace(['@', '/', '\n'], " ")), tags, note, model, data, optimizer, ..Recipe::default() };
        recipe.freeze.rules = rules.into_iter().map(str::to_owned).collect();
        recipe.loss.label_smoothing = smoothing;
        recipe.train = TrainSpec { seed, epochs, clip_grad_norm: clip, ..recipe.train };
        recipe.train.steps = epochs.is_none().then_some(77);
        recipe.checkpoint.every_minutes = minutes;
        recipe.checkpoint.every_epochs = minutes.is_none().then_some(1);
        recipe.checkpoint.keep_every = epochs;
        let best = BestSpec { metric: "val/top1".to_owned(), mode: minutes.map(|_| Mode::Min), keep: 2 };
        recipe.checkpoint.best = clip.map(|_| best).into_iter().collect();
        recipe
    }
}

proptest! {
    #[test]
    fn what_is_written_reads_back_the_same(recipe in recipes()) {
        let text = recipe.to_toml();
        let again = Recipe::parse(&text, "again.toml", Path::new("/elsewhere"), &[]);
        prop_assert_eq!(again, Ok(recipe.clone()), "{}", text);
        prop_assert_eq!(recipe.with_sets(&[]), Ok(recipe.clone()));
        let json = serde_json::to_string(&recipe).unwrap();
        prop_assert_eq!(serde_json::from_str::<Recipe>(&json).unwrap(), recipe);
    }

    #[test]
    fn no_text_makes_parsing_panic(text in "(\\[?[a-z_.]{0,9}\\]? ?=? ?[\\[{\"0-9a-z,.}\\]-]{0,8}\n?){0,6}", set in ".{0,20}") {
        let _ = Recipe::parse(&text, "x.toml", Path::new("/"), std::slice::from_ref(&set));
        let _ = Recipe::parse(MLP, "x.toml", Path::new("/"), &[set]);
    }
}
