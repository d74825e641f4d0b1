//! A folder with a recipe and a run home, and the command line in it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use frostline::cli::{self, io::Io};
use frostline::engine::Engine;
use frostline::engine::fake::FakeEngine;

const RECIPE: &str = r#"
[model]
arch = "resnet8"
[data]
source = "digits"
workers = 0
[optimizer]
lr = 0.01
[train]
epochs = 2
batch_size = 256
devices = ["cpu"]
"#;

/// What a command did.
pub struct Ran {
    pub code: u8,
    pub out: String,
    pub err: String,
}

/// A folder of its own.
pub struct Bench {
    dir: tempfile::TempDir,
}

impl Bench {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("recipe.toml"), RECIPE).unwrap();
        Self { dir }
    }

    /// One with a run of the recipe.
    pub fn trained() -> Self {
        let bench = Self::new();
        bench.ok(&["train", "recipe.toml"]);
        bench
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    pub fn run(&self, args: &[&str]) -> Ran {
        let (io, captured) = Io::captured();
        let code = self.call(args, io, FakeEngine::new(1));
        Ran { code, out: captured.stdout(), err: captured.stderr() }
    }

    /// As if Ctrl-C were pressed after some steps.
    pub fn interrupted(&self, args: &[&str]) -> Ran {
        let (io, captured) = Io::captured();
        let interrupt = captured.interrupt.clone();
        let runs = self.path("home").join("runs");
        let watcher = std::thread::spawn(move || {
            let a_checkpoint = |run: &Path| {
                std::fs::read_dir(run.join("checkpoints"))
                    .is_ok_and(|d| d.flatten().any(|e| e.file_name().to_string_lossy().starts_with("step-")))
            };
            while !std::fs::read_dir(&runs).is_ok_and(|d| d.flatten().any(|e| a_checkpoint(&e.path()))) {
                std::thread::sleep(Duration::from_millis(2));
            }
            interrupt.raise(2);
        });
        let code = self.call(args, io, FakeEngine::new(1).with_delay(Duration::from_millis(20)));
        watcher.join().unwrap();
        Ran { code, out: captured.stdout(), err: captured.stderr() }
    }

    fn call(&self, args: &[&str], io: Io, engine: FakeEngine) -> u8 {
        let home = self.path("home");
        let here = |arg: &&str| match Path::new(arg).extension().and_then(|e| e.to_str()) {
            Some("toml" | "safetensors" | "csv" | "txt" | "onnx") if !arg.contains('=') => {
                self.path(arg).into_os_string()
            }
            _ => arg.into(),
        };
        let args =
            ["frostline".into(), "--home".into(), home.into_os_string()].into_iter().chain(args.iter().map(here));
        cli::run(args, io, Box::new(move || Ok(Arc::new(engine) as Arc<dyn Engine>)))
    }

    /// A command that must work; its stdout.
    pub fn ok(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, 0, "{args:?}: {}", ran.err);
        ran.out
    }

    pub fn json(&self, args: &[&str]) -> serde_json::Value {
        serde_json::from_str(&self.ok(args)).unwrap()
    }

    /// Id of the newest run.
    pub fn last(&self) -> String {
        self.json(&["ls", "--json"])[0]["id"].as_str().unwrap().to_owned()
    }

    /// `x.safetensors` with some digits-like inputs.
    pub fn inputs(&self, n: usize) {
        use frostline::core::tensor::HostTensor;
        let values: Vec<f32> = (0..n * 64).map(|i| (i % 17) as f32 / 16.0).collect();
        let x = HostTensor::from_f32("x", &[n, 1, 8, 8], &values);
        frostline::core::weights::write_safetensors(&self.path("x.safetensors"), &[x], &Default::default(), true)
            .unwrap();
    }
}
