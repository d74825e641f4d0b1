//! Makes the README's pictures again: trains on the embedded digits, opens the built program in a pseudo-terminal, types,
//! and writes what the terminal shows as SVG.
//!
//!     make pictures
//!
//! which is `cargo run --release --example pictures [-- FOLDER]`, into `docs/pictures`.
//! With `FROSTLINE` another program is shown than `target/release/frostline`.

mod svg;
#[path = "../support/terminal.rs"]
mod terminal;

use std::path::{Path, PathBuf};
use std::time::Duration;

use terminal::{Result, Terminal, command};

const SIZE: (u16, u16) = (132, 36);

/// The run that is shown while it trains.
const LIVE: &str = r#"
name = "digits-gradual"
tags = ["demo"]

[model]
arch = "resnet8"
width = 16
weights = "digits-pretrain@best"
load = { head = "new" }

[data]
source = "digits"
classes = [5, 6, 7, 8, 9]
val_fraction = 0.2

[freeze]
rules = ["freeze **", "train layer3", "train fc", "no_grad conv1"]

[optimizer]
kind = "adamw"
lr = 3e-3

[lr_schedule]
kind = "cosine"
warmup_steps = 100

[train]
epochs = 200
batch_size = 32
devices = ["cpu"]
threads = 1

[checkpoint]
every_epochs = 20
keep_last = 4
keep_best = 1
monitor = "val/loss"
"#;

fn main() -> Result<()> {
    let folder = std::env::args().nth(1).map_or_else(|| PathBuf::from("docs/pictures"), PathBuf::from);
    std::fs::create_dir_all(&folder)?;
    let place = tempfile::tempdir()?;
    let place = place.path();
    prepare(place)?;
    let mut terminal = Terminal::start(place, &[], SIZE.0, SIZE.1)?;
    let take = |terminal: &Terminal, name: &str, title: &str| {
        // What comes in pieces has come.
        std::thread::sleep(Duration::from_millis(1500));
        let picture = terminal.screen(|screen| svg::picture(screen, title));
        let path = folder.join(format!("{name}.svg"));
        println!("{}: {} kB", path.display(), picture.len() / 1000);
        std::fs::write(path, picture)
    };
    terminal.wait_for("1/4")?;
    take(&terminal, "runs", "The Runs screen: four runs with status, progress, best value, a sparkline and tags")?;
    terminal.keys("n")?;
    terminal.wait_for("gradual.toml")?;
    terminal.keys("\r")?;
    terminal.wait_for("draft")?;
    terminal.keys("9j")?;
    take(
        &terminal,
        "model",
        "The Model screen: the layer tree of a draft with the frost line, and a pane that explains a layer",
    )?;
    terminal.keys("t")?;
    terminal.wait_for("running digits-gradual")?;
    std::thread::sleep(Duration::from_secs(8));
    take(&terminal, "train", "The Train screen: charts of a live run, its progress and its events")?;
    terminal.keys("3")?;
    take(&terminal, "devices", "The Devices screen: load and memory of the processor and the GPUs")?;
    terminal.keys("4s")?;
    terminal.wait_for("Stop digits-gradual?")?;
    terminal.keys("y")?;
    terminal.wait_for("stopped digits-gradual")?;
    terminal.keys("5")?;
    take(&terminal, "checkpoints", "The Checkpoints screen: the history of a run, and why each checkpoint is kept")?;
    terminal.keys("1")?;
    // The three runs that the run came from and was tried against.
    terminal.keys(" j j c")?;
    terminal.wait_for("Recipes")?;
    take(
        &terminal,
        "compare",
        "The Compare screen: what differs between recipes, best values, and a metric of all runs in one chart",
    )?;
    terminal.keys("q")?;
    terminal.wait_exit()
}

/// Runs to look at: pretrained, fine-tuned, a fork, and one that did not come to its end.
fn prepare(place: &Path) -> Result<()> {
    let examples = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    for name in ["digits-pretrain.toml", "digits-finetune.toml"] {
        std::fs::copy(examples.join(name), place.join(name))?;
        println!("training {name}");
        command(place, &["train", name])?;
    }
    println!("forking");
    let head = ["--set", "freeze.rules=[\"freeze **\", \"train fc\"]", "--set", "name=head-only"];
    command(place, &[&["fork", "digits-finetune", "--from", "best"][..], &head].concat())?;
    command(place, &["fork", "digits-finetune", "--from", "best", "--set", "optimizer.lr=0.02", "--set", "name=hot"])?;
    command(place, &["tag", "head-only", "+good"])?;
    // The one recipe that is offered.
    ["digits-pretrain.toml", "digits-finetune.toml"]
        .iter()
        .try_for_each(|name| std::fs::remove_file(place.join(name)))?;
    Ok(std::fs::write(place.join("gradual.toml"), LIVE)?)
}
