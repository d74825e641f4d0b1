//! Images reach the model in the very bytes that torchvision's presets make of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

#[path = "support/python.rs"]
mod python;

use std::process::Command;

use frostline::core::recipe::OnBadImage;
use frostline::engine::data::load_inputs;

/// Writes images, and what `Resize` and `CenterCrop` make of each: `name.png`, and the bytes in `name.raw`.
const SCRIPT: &str = r#"
import sys
import numpy as np
from PIL import Image
from torchvision.transforms import CenterCrop, Compose, InterpolationMode, Resize

random = np.random.default_rng(0)
ways = [(mode, Compose([Resize(73, mode), CenterCrop(64)])) for mode in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC)]
for number, (height, width) in enumerate([(60, 48), (300, 200), (200, 301), (64, 64), (73, 73), (73, 90), (41, 260), (500, 83), (9, 7)]):
    for gray in (False, True):
        shape = (height, width) if gray else (height, width, 3)
        image = Image.fromarray(random.integers(0, 256, shape, dtype=np.uint8))
        for mode, way in ways:
            name = f"{sys.argv[1]}/{mode.value}/{number}-{gray}"
            image.save(name + ".png")
            open(name + ".raw", "wb").write(np.asarray(way(image.convert("RGB"))).tobytes())
"#;

#[test]
fn resized_images_are_those_of_torchvision_bit_for_bit() {
    let Some(python) = python::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let modes = ["bilinear", "bicubic"].map(|mode| (mode, folder.path().join(mode)));
    modes.iter().for_each(|(_, below)| std::fs::create_dir(below).unwrap());
    let out = Command::new(python).args(["-B", "-c", SCRIPT]).arg(folder.path()).output().unwrap();
    assert!(out.status.success(), "{}", String::from_utf8_lossy(&out.stderr));
    for (mode, below) in modes {
        let preprocessing = serde_json::json!({
            "kind": "image", "shape": [3, 64, 64], "repeat": 1, "resize": 73, "interpolation": mode, "mean": [], "std": []
        });
        let inputs = load_inputs(&[below], &preprocessing, OnBadImage::Stop).unwrap();
        assert_eq!(inputs.names.len(), 18);
        for (name, x) in inputs.names.iter().zip(inputs.x.chunks_exact(3 * 64 * 64)) {
            let wanted = std::fs::read(name.replace(".png", ".raw")).unwrap();
            let made: Vec<u8> = (0..64 * 64 * 3).map(|i| (x[i % 3 * 64 * 64 + i / 3] * 255.0).round() as u8).collect();
            let differing = made.iter().zip(&wanted).filter(|(a, b)| a != b).count();
            assert_eq!((made.len(), differing), (wanted.len(), 0), "{name}");
        }
    }
}
