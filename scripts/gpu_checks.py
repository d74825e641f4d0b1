#!/usr/bin/env python3
"""Checks on a GPU what the tests cannot check without one, and prints a table.

    make gpu-check                                  builds what it needs, then runs this
    python3 scripts/gpu_checks.py [--device cuda:0] [--python PYTHON]

Where there is no usable GPU it says why, calls every check skipped and exits with 0. A check that fails makes it 1. `--device cpu`
tries the script itself, with small models. PYTHON is one with PyTorch 2.11 for CUDA, for the comparison of speed.
"""

import argparse
import json
import math
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
TARGET = pathlib.Path(os.environ.get("CARGO_TARGET_DIR", ROOT / "target")) / "release"
ROUNDS = 3

RECIPE = """
[model]
arch = "resnet8"
[data]
source = "digits"
[optimizer]
lr = 1e-3
[train]
steps = 40
batch_size = 64
devices = ["{device}"]
seed = 1
[checkpoint]
every_steps = 20
"""


class Failed(Exception):
    pass


class Skipped(Exception):
    pass


class Bench:
    def __init__(self, folder, device, python):
        self.folder, self.device, self.python = pathlib.Path(folder), device, python
        self.gpu = device != "cpu"
        (self.folder / "r.toml").write_text(RECIPE.format(device=device))
        self.env = {**os.environ, "FROSTLINE_HOME": str(self.folder / "home"), "FROSTLINE_CONFIG": str(self.folder / "config")}

    def call(self, *args, code=0):
        done = subprocess.run([TARGET / "frostline", *args], env=self.env, cwd=self.folder, capture_output=True, text=True)
        if done.returncode != code:
            raise Failed(f"`{' '.join(args)}` gave {done.returncode}: {done.stderr.strip().splitlines()[-1:]}")
        return done

    def json(self, *args):
        return json.loads(self.call(*args, "--json").stdout)

    def train(self, *sets):
        return self.call("train", "r.toml", "--quiet", *options(sets)).stdout.split()[0]

    def metric(self, run, name):
        lines = self.call("metrics", run, "--format", "jsonl").stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        return [r[name] for r in rows if r.get(name) is not None]


def options(sets):
    return [word for s in sets for word in ("--set", s)]


def training(b):
    loss = b.metric(b.train(), "train/loss")
    if not all(map(math.isfinite, loss)) or loss[-1] >= loss[0]:
        raise Failed(f"the loss went from {loss[0]} to {loss[-1]}")
    return f"loss {loss[0]:.3f} to {loss[-1]:.3f} in {len(loss)} steps"


def exact_resume(b):
    sets = ["train.deterministic=true"]
    alone = b.train(*sets)
    parted = b.train(*sets, "train.steps=20")
    b.call("resume", parted, "--quiet", "--set", "train.steps=40")
    first, second = b.metric(alone, "train/loss"), b.metric(parted, "train/loss")
    if first != second:
        raise Failed("the losses differ")
    done = b.json("diff", f"{alone}@40", f"{parted}@40")
    moved = [t for t in done["tensors"] if not t["bit_equal"]]
    if moved:
        raise Failed(f"{len(moved)} tensors differ, {moved[0]['name']} first")
    return f"{len(done['tensors'])} tensors and 40 losses bit-equal"


def autocast(precision):
    def check(b):
        plain = b.metric(b.train(), "train/loss")
        run = b.train(f"train.precision={precision}", "train.channels_last=true")
        loss = b.metric(run, "train/loss")
        if not math.isfinite(loss[-1]) or abs(loss[-1] - plain[-1]) > 0.15 * plain[0]:
            raise Failed(f"the loss ends at {loss[-1]}, in fp32 at {plain[-1]}")
        scale = b.metric(run, "loss_scale")
        told = f", scale {scale[0]:.0f} to {scale[-1]:.0f}" if scale else ""
        return f"loss {loss[-1]:.3f}, in fp32 {plain[-1]:.3f}{told}"

    return check


def memory(b):
    facts = b.json("train", "r.toml", "--dry-run")
    parts = facts["memory"]
    if not parts["measured"] or not facts["memory_bytes"]:
        raise Failed("nothing was measured")
    return ", ".join(f"{n} {v / 2**20:.1f} MiB" for n, v in parts.items() if isinstance(v, int) and v and n not in ("measured", "free"))


def auto_batch(b):
    sets = ["model.arch=resnet50", "data.image_size=224", "train.batch_size=auto"] if b.gpu else ["train.batch_size=auto"]
    facts = b.json("train", "r.toml", "--dry-run", *options(sets))
    return f"{facts['batches']['global']} samples"


def out_of_memory(b):
    if not b.gpu:
        raise Skipped("the kernel kills a process whose CPU memory ends; tests/cli_torch.rs sets a limit")
    sets = ["model.arch=resnet50", "data.image_size=224", "train.batch_size=1436", "train.probe=false", "train.steps=1"]
    done = b.call("train", "r.toml", "--quiet", *options(sets), code=1)
    run, tries = done.stdout.split()[0], 0
    while f"out of memory on {b.device}" in done.stderr:
        if not b.json("checkpoints", run):
            raise Failed("no checkpoint stands")
        words = re.search(r"frostline (resume \S+(?: --set \S+)+)", done.stderr)
        if tries == 6 or not words:
            raise Failed("the remedy did not help")
        command = [TARGET / "frostline", *words.group(1).split(), "--quiet"]
        done = subprocess.run(command, env=b.env, cwd=b.folder, capture_output=True, text=True)
        tries += 1
    if not tries or done.returncode:
        raise Failed(f"it ended with {done.returncode}: {done.stderr.strip()[-200:]}")
    return f"saved, and went on after {tries} halvings"


def other_device(b):
    if not b.gpu:
        raise Skipped("one device alone")
    args = ["train", "r.toml", "--detach", *options(["train.steps=1000000", 'train.devices=["cpu"]'])]
    run = b.call(*args).stdout.split()[0]
    b.call("set", run, f"devices={b.device}")
    time.sleep(3)
    b.call("stop", run)
    loss = b.metric(run, "train/loss")
    if not math.isfinite(loss[-1]):
        raise Failed("the loss is not finite")
    return f"from cpu to {b.device}, {len(loss)} steps"


def several_devices(b):
    devices = [d["name"] for d in b.json("devices") if d["name"].startswith("cuda:") and not d.get("unusable")] if b.gpu else ["cpu:0", "cpu:1"]
    if len(devices) < 2:
        raise Skipped("one GPU alone")
    sets = ["model.arch=mlp", "train.batch_size=60"]
    alone = b.metric(b.train(*sets), "train/loss")
    run = b.train(*sets, f"train.devices={json.dumps(devices)}")
    together = b.metric(run, "train/loss")
    apart = max(abs(x - y) / abs(x) for x, y in zip(alone, together))
    if len(alone) != len(together) or apart > 1e-4:
        raise Failed(f"the losses are up to {apart:.1e} apart from those of one device")
    log = (b.folder / "home" / "runs" / run / "log.txt").read_text()
    slow = re.search(r"exchange gradients through host memory[^:]*: ([^;]*)", log)
    if b.gpu and slow:
        raise Failed(f"by Gloo: {slow.group(1)}")
    return f"{len(devices)} {'over NCCL' if b.gpu else 'by Gloo'}, losses within {apart:.1e} of one device's"


LOOP = """
import sys, time, torch, torchvision
device, arch, side, batch, steps, precision, layout = sys.argv[1:8]
side, batch, steps = int(side), int(batch), int(steps)
torch.backends.cudnn.benchmark = True
torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
format = torch.channels_last if layout == "channels_last" else torch.contiguous_format
model = getattr(torchvision.models, arch)().to(device, memory_format=format)
opt = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, fused=True)
host = torch.rand(batch, 3, side, side)
y = (torch.arange(batch) * 37 % 1000).to(device)
kind = device.split(":")[0]
wait = torch.cuda.synchronize if kind == "cuda" else lambda: None
warm = max(steps // 6, 3)
for step in range(warm + steps):
    if step == warm:
        wait()
        start = time.perf_counter()
    x = host.to(device).to(memory_format=format)
    opt.zero_grad()
    with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
        loss = torch.nn.functional.cross_entropy(model(x), y)
    loss.backward()
    opt.step()
wait()
print(batch * steps / (time.perf_counter() - start))
"""


def throughput(precision):
    def check(b):
        numbers = ["resnet50", "224", "128", "60"] if b.gpu else ["resnet18", "64", "8", "6"]
        args = [b.device, *numbers, precision, "channels_last"]
        ours, theirs = [], []
        if not b.python:
            raise Skipped("no Python with PyTorch: name one with --python")
        for _ in range(ROUNDS):
            for times, command in ((ours, [TARGET / "examples" / "throughput"]), (theirs, [b.python, "-c", LOOP])):
                done = subprocess.run([*command, *args], capture_output=True, text=True)
                if done.returncode:
                    raise Failed(done.stderr.strip()[-200:])
                times.append(float(done.stdout))
        mine, other = statistics.median(ours), statistics.median(theirs)
        return f"{mine:.1f} images/s, PyTorch {other:.1f}: {mine / other:.3f} of it ({numbers[0]}, {ROUNDS} rounds in turns)"

    return check


CHECKS = [
    ("training", training),
    ("exact resume, deterministic", exact_resume),
    ("autocast bf16", autocast("bf16")),
    ("autocast fp16, loss scaling", autocast("fp16")),
    ("memory estimate", memory),
    ("largest batch", auto_batch),
    ("out of memory", out_of_memory),
    ("another device", other_device),
    ("several devices", several_devices),
    ("throughput fp32", throughput("fp32")),
    ("throughput bf16", throughput("bf16")),
]


def usable(device):
    """Why the device cannot be used, if so, and what it is called."""
    if not (TARGET / "frostline").exists():
        sys.exit(f"{TARGET / 'frostline'} is missing: run `make gpu-check`, which builds it")
    known = json.loads(subprocess.run([TARGET / "frostline", "devices", "--json"], capture_output=True, text=True, check=True).stdout)
    for d in known:
        if d["name"] == device:
            return d.get("unusable"), d["model"]
    for d in known:
        # Where there is none of a kind, the entry has the kind's name and says why.
        if d["name"] == device.split(":")[0] and d.get("unusable"):
            return d["unusable"], ""
    return f"no device {device} on this machine", ""


def python_with_torch(asked):
    for python in [asked] if asked else [sys.executable, str(ROOT / ".python-ref/bin/python")]:
        done = subprocess.run([python, "-c", "import torch, torchvision; print(torch.__version__)"], capture_output=True, text=True)
        if done.returncode == 0 and done.stdout.startswith("2.11."):
            return python
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0")
    parser.add_argument("--python")
    args = parser.parse_args()
    why, model = usable(args.device)
    if why:
        print(f"no GPU to check: {why}")
    else:
        print(f"{args.device}: {model}, {time.strftime('%Y-%m-%d')}")
    bad = 0
    python = None if why else python_with_torch(args.python)
    print(f"\n| {'check':<28} | result  | what was seen |\n| {'-' * 28} | ------- | --- |")
    for name, check in CHECKS:
        result, words = "skipped", "no GPU"
        if not why:
            folder = tempfile.mkdtemp()
            try:
                result, words = "passed", check(Bench(folder, args.device, python))
            except Skipped as e:
                words = str(e)
            except (Failed, OSError, KeyError, IndexError, ValueError) as e:
                result, words, bad = "FAILED", f"{type(e).__name__}: {e}", 1
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        print(f"| {name:<28} | {result:<7} | {words} |", flush=True)
    sys.exit(bad)


main()
