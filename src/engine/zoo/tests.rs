//! Every architecture of torchvision's against what torchvision says of it (`tests/fixtures/zoo.json`, written by
//! `scripts/zoo_reference.py fixture`): names, shapes and order of the state dict, classes and hyper-parameters of modules.

use sha2::{Digest, Sha256};

use super::*;
use crate::core::hub;

const CLASSES: usize = 1000;

fn fixture() -> serde_json::Map<String, serde_json::Value> {
    serde_json::from_str(include_str!("../../../tests/fixtures/zoo.json")).unwrap()
}

fn input(side: usize) -> InputSpec {
    InputSpec { sample_shape: vec![3, side, side], outputs: CLASSES }
}

fn blank(arch: &str, spec: &ModelSpec) -> Node {
    (find(arch).unwrap().build)(&Build::blank().unwrap(), spec, &input(224)).unwrap().finish()
}

/// Parameters; lines of the state dict; lines of the modules.
fn lines(root: &Node) -> (u64, String, String) {
    let (mut parameters, mut state, mut modules) = (0, String::new(), String::new());
    root.walk(&mut |node, _| {
        modules += &format!("{} {} {}\n", node.path, node.op.kind(), node.op.detail());
        for slot in &node.slots {
            let shape = slot.tensor.size();
            if slot.parameter {
                parameters += shape.iter().product::<i64>().unsigned_abs();
            }
            let path = if node.path.is_empty() { String::new() } else { format!("{}.", node.path) };
            let shape = shape.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
            state += &format!("{path}{} {shape}\n", slot.name);
        }
    });
    (parameters, state, modules)
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().map(|b| format!("{b:02x}")).collect()
}

#[test]
fn every_model_has_torchvisions_state_dict_and_modules() {
    for (arch, facts) in fixture() {
        let (parameters, state, modules) = lines(&blank(&arch, &ModelSpec::default()));
        assert_eq!(facts["parameters"], parameters, "{arch}");
        assert_eq!(facts["state"], hash(&state), "{arch}:\n{state}");
        assert_eq!(facts["modules"], hash(&modules), "{arch}:\n{modules}");
        assert_eq!(facts["head"], head(&blank(&arch, &ModelSpec::default())), "{arch}");
    }
}

fn head(root: &Node) -> String {
    let mut last = String::new();
    root.walk(&mut |node, _| {
        if !node.slots.is_empty() {
            last.clone_from(&node.path);
        }
    });
    last
}

#[test]
fn torchvisions_families_are_complete_and_named_weights_have_their_model() {
    let fixture = fixture();
    let own = ["mlp", "resnet8", "resnet14", "resnet20"];
    let zoo: Vec<&str> = all().map(|a| a.name).filter(|n| !own.contains(n)).collect();
    assert_eq!(zoo.len(), fixture.len());
    for name in zoo {
        assert!(fixture.contains_key(name), "{name} in the fixture");
    }
    for arch in hub::architectures() {
        assert!(find(arch).is_some(), "{arch}, whose weights torchvision publishes");
    }
}

#[test]
fn rates_of_the_recipe_replace_torchvisions() {
    let rates = |arch: &str, spec: &ModelSpec, kind: &str| {
        let mut found = Vec::new();
        blank(arch, spec).walk(&mut |node, _| {
            if node.op.kind() == kind {
                found.push(node.op.detail());
            }
        });
        found
    };
    let spec = ModelSpec { dropout: Some(0.25), stochastic_depth: Some(0.17), ..ModelSpec::default() };
    for arch in all().filter(|a| a.dropout && a.name != "mlp") {
        let found = rates(arch.name, &spec, "Dropout");
        assert!(!found.is_empty() && found.iter().all(|p| p == "p=0.25"), "{}: {found:?}", arch.name);
    }
    for arch in all().filter(|a| a.stochastic_depth) {
        let found = rates(arch.name, &spec, "StochasticDepth");
        assert_eq!(found[0], "p=0.0000", "{}", arch.name);
        // A ConvNeXt's last block has the whole rate, an EfficientNet's one share less.
        let last: f64 = found.last().unwrap()[2..].parse().unwrap();
        assert!(last > 0.15 && last <= 0.17, "{}: {last}", arch.name);
    }
}

#[test]
fn images_that_are_too_small_are_refused_in_words() {
    let refuses = |arch: &str, shape: &[usize]| find(arch).unwrap().refuses(shape).unwrap_or_default();
    assert!(refuses("alexnet", &[3, 62, 62]).contains("at least 63x63 pixels, but the data's are 62x62"));
    assert_eq!(refuses("alexnet", &[3, 63, 63]), "");
    assert!(refuses("vgg11", &[3, 40, 31]).contains("set data.image_size to 32"));
    assert!(refuses("vit_b_16", &[3, 30, 30]).contains("multiple of its patches' 16 pixels"));
    assert!(refuses("vit_b_16", &[3, 32, 48]).contains("square"));
    assert_eq!(refuses("vit_b_16", &[3, 32, 32]), "");
    assert!(refuses("resnet18", &[1, 32, 32]).contains("takes 3 channels"));
    assert_eq!(refuses("mobilenet_v2", &[3, 1, 1]), "");
}
