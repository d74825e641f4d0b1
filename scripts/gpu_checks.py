#!/usr/bin/env python3
"""Checks on a GPU what the tests cannot check without one, and prints a table.

    make gpu-check                                  builds what it needs, then runs this
    python3 gpu_checks.py [--bin FOLDER] [--only WORD]… [--out FILE] [--device cuda:0] [--python PYTHON]

FOLDER is what `make gpu-bundle` made, also on another machine. PYTHON (this one, if not named) has PyTorch 2.11 for CUDA: the
speed is compared with it, and where the program does not find its own libtorch it takes that one's.

Where there is no usable GPU it says why, calls every check skipped and exits with 0. A check that fails makes it 1. `--device cpu`
tries the script itself, with small models. Python 3.8, no other packages.
"""

import argparse
import json
import math
import os
import pathlib
import platform
import re
import shutil
import signal
import statistics
import subprocess
import sys
import tempfile
import time

HERE = pathlib.Path(__file__).resolve().parent
# In the folder that it checks, or in a checkout.
BIN = HERE if (HERE / "frostline").exists() else pathlib.Path(os.environ.get("CARGO_TARGET_DIR", HERE.parent / "target")) / "gpu-bundle"
# Seconds for one command; the first one reads gigabytes of libraries from the disk.
PATIENCE = 120
# Of the images a second that the same loop in Python's PyTorch makes.
GOAL = 0.98

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


def last_words(text):
    """What a program said last, short enough for a table."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1][-300:] if lines else "no words"


class Place:
    """What is checked where: the programs, the device, and a Python to compare with."""

    def __init__(self, folder, device, python):
        self.folder, self.device = pathlib.Path(folder).absolute(), device
        self.gpu = device != "cpu"
        self.python, self.torch = find_python(python)
        self.env = dict(os.environ)
        self.facts, self.why_not = {}, None

    def program(self, name):
        path = self.folder / name
        if not path.exists():
            raise Failed(f"{path} is missing: `make gpu-bundle` builds it")
        return path

    def run(self, command, limit=PATIENCE, env=None, cwd=None):
        """Runs it to its end; what does not end is killed. The CPU may be a slow one."""
        limit *= 1 if self.gpu else 3
        try:
            return subprocess.run(command, timeout=limit, env=env or self.env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, text=True)
        except subprocess.TimeoutExpired:
            words = " ".join(str(word) for word in [pathlib.Path(command[0]).name, *command[1:]] if "\n" not in str(word))
            raise Failed(f"`{words}` did not end within {limit} s, and was killed")

    def settle(self):
        """Finds libtorch for the programs, and the device. A device that cannot be used is told in `why_not`."""
        frostline = self.program("frostline")
        asked = self.run([frostline, "--version"])
        if asked.returncode and self.torch:
            # Built elsewhere. Before what is there, which may hold the driver's own folder.
            known = self.env.get("LD_LIBRARY_PATH")
            self.env["LD_LIBRARY_PATH"] = self.torch["lib"] + (f":{known}" if known else "")
            asked = self.run([frostline, "--version"])
        if asked.returncode:
            raise Failed(f"{frostline} does not start: {last_words(asked.stderr)}; --python names a Python with PyTorch 2.11")
        self.version = asked.stdout.strip()
        done = self.run([frostline, "devices", "--json"])
        if done.returncode:
            raise Failed(f"`frostline devices` gave {done.returncode}: {last_words(done.stderr)}")
        known = json.loads(done.stdout)
        for d in known:
            if d["name"] == self.device:
                self.facts, self.why_not = d, d.get("unusable")
                return
        # Where there is none of a kind, the entry has the kind's name and says why.
        reasons = [d["unusable"] for d in known if d["name"] == self.device.split(":")[0] and d.get("unusable")]
        self.why_not = reasons[0] if reasons else f"no device {self.device} on this machine"

    def title(self):
        return f"{self.device}: {self.facts.get('model') or 'not usable'}, {time.strftime('%Y-%m-%d')}"

    def versions(self):
        """What took part, in a line."""
        try:
            commit = (self.folder / "commit").read_text().strip()
        except OSError:
            commit = ""
        parts = [f"{self.version} ({commit})" if commit else self.version]
        try:
            driver = re.search(r"\b\d{3}\.\d+(\.\d+)?\b", pathlib.Path("/proc/driver/nvidia/version").read_text())
            parts += [f"driver {driver.group(0)}"] if driver else []
        except OSError:
            pass
        if self.torch:
            parts += [f"{name} {self.torch[name]}" for name in ("PyTorch", "torchvision", "CUDA", "cuDNN", "NCCL") if self.torch[name]]
        return ", ".join([*parts, f"glibc {platform.libc_ver()[1]}", f"{os.cpu_count()} CPUs"])


PYTHON_FACTS = """
import json, os, torch, torchvision
cudnn = torch.backends.cudnn.version()
nccl = torch.cuda.nccl.version() if torch.cuda.is_available() else ()
print(json.dumps({
    "PyTorch": torch.__version__, "torchvision": torchvision.__version__, "CUDA": torch.version.cuda,
    "cuDNN": cudnn and f"{cudnn // 10000}.{cudnn // 100 % 100}.{cudnn % 100}", "NCCL": ".".join(map(str, nccl)),
    "lib": os.path.join(os.path.dirname(torch.__file__), "lib"),
}))
"""


def find_python(asked):
    """A Python with PyTorch 2.11 and torchvision, and what it has; two times None where there is none."""
    for python in [asked] if asked else [sys.executable, HERE.parent / ".python-ref/bin/python"]:
        try:
            done = subprocess.run([python, "-c", PYTHON_FACTS], timeout=2 * PATIENCE, capture_output=True, text=True)
            facts = json.loads(done.stdout)
        except (OSError, ValueError, subprocess.TimeoutExpired):
            continue
        if facts["PyTorch"].startswith("2.11."):
            return str(python), facts
    return None, None


class Bench:
    """One check's own folder, with a recipe and a run home."""

    def __init__(self, place):
        self.place, self.device, self.gpu = place, place.device, place.gpu
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="frostline-check-"))
        (self.folder / "r.toml").write_text(RECIPE.format(device=place.device))
        self.env = {**place.env, "FROSTLINE_HOME": str(self.folder / "home"), "FROSTLINE_CONFIG": str(self.folder / "config")}

    def close(self):
        """No run outlives its check: it would train beside the others and hold memory of the device."""
        for lock in self.folder.glob("home/runs/*/lock"):
            try:
                pid = json.loads(lock.read_text())["pid"]
                if b"frostline" in pathlib.Path(f"/proc/{pid}/cmdline").read_bytes():
                    os.kill(pid, signal.SIGKILL)
            except (OSError, ValueError, KeyError, TypeError):
                # An empty file: its owner has ended in order.
                continue
        shutil.rmtree(self.folder, ignore_errors=True)

    def frostline(self, *args, limit=PATIENCE):
        return self.place.run([self.place.program("frostline"), *args], limit, self.env, self.folder)

    def call(self, *args, code=0, limit=PATIENCE):
        done = self.frostline(*args, limit=limit)
        if done.returncode != code:
            raise Failed(f"`{' '.join(args)}` gave {done.returncode}: {last_words(done.stderr)}")
        return done

    def json(self, *args, limit=PATIENCE):
        return json.loads(self.call(*args, "--json", limit=limit).stdout)

    def train(self, *sets):
        return self.call("train", "r.toml", "--quiet", *options(sets)).stdout.split()[0]

    def metric(self, run, name):
        lines = self.call("metrics", run, "--format", "jsonl").stdout.splitlines()
        rows = [json.loads(line) for line in lines]
        return [r[name] for r in rows if r.get(name) is not None]

    def huge_side(self):
        """The images' side with which 1024 samples of ResNet-50 need half as much again as the device has: a power of two
        can be halved until it fits. 82 MiB a sample are kept for backward at 224."""
        side = 224
        while 82 * 2**20 * 1024 * (side / 224) ** 2 < 1.5 * self.place.facts["memory_total"]:
            side += 32
        return side


def options(sets):
    return [word for s in sets for word in ("--set", s)]


def devices(b):
    d = b.place.facts
    if not d["model"] or not d["memory_total"]:
        raise Failed(f"the device has no name or no memory: {d}")
    return f"{d['model']}, {d['memory_free'] / 1e9:.1f} of {d['memory_total'] / 1e9:.1f} GB free"


def training(b):
    loss = b.metric(b.train(), "train/loss")
    if not all(map(math.isfinite, loss)) or loss[-1] >= loss[0]:
        raise Failed(f"the loss went from {loss[0]} to {loss[-1]}")
    return f"loss {loss[0]:.3f} to {loss[-1]:.3f} in {len(loss)} steps"


def exact_resume(*sets, small=()):
    """A run beside one that is ended at half of its steps and resumed; `small` is for the CPU."""

    def check(b):
        steps = 20 if b.gpu else 4
        fixed = ["train.deterministic=true", *sets, *(() if b.gpu else ("train.batch_size=8", "data.val_fraction=0.05", *small))]
        alone = b.train(*fixed, f"train.steps={steps}")
        parted = b.train(*fixed, f"train.steps={steps // 2}")
        b.call("resume", parted, "--quiet", "--set", f"train.steps={steps}")
        first, second = b.metric(alone, "train/loss"), b.metric(parted, "train/loss")
        if first != second or len(first) != steps:
            raise Failed(f"the losses differ: {first[-1]} after {len(first)} steps, resumed {second[-1]} after {len(second)}")
        tensors = b.json("diff", f"{alone}@{steps}", f"{parted}@{steps}")["tensors"]
        moved = [t for t in tensors if not t["bit_equal"]]
        if moved:
            raise Failed(f"{len(moved)} of {len(tensors)} tensors differ, {moved[0]['name']} first")
        return f"{len(tensors)} tensors and {steps} losses bit-equal"

    return check


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
    sets = ["model.arch=resnet50", f"data.image_size={b.huge_side()}"] if b.gpu else []
    facts = b.json("train", "r.toml", "--dry-run", *options([*sets, "train.batch_size=auto"]), limit=2 * PATIENCE)
    found = facts["batches"]["global"]
    if b.gpu and found >= facts["train_samples"]:
        raise Failed(f"all {found} samples of the data fit: nothing was looked for")
    return f"{found} samples{f' of ResNet-50 at {b.huge_side()}' if b.gpu else ''}, {facts['memory_bytes'] / 1e9:.2f} GB"


def out_of_memory(b):
    if not b.gpu:
        raise Skipped("the kernel kills a process whose CPU memory ends; tests/cli_torch.rs sets a limit")
    sets = ["model.arch=resnet50", f"data.image_size={b.huge_side()}", "train.batch_size=1024", "train.probe=false", "train.steps=1"]
    done = b.frostline("train", "r.toml", "--quiet", *options(sets), limit=2 * PATIENCE)
    if not done.returncode:
        raise Failed(f"1024 samples at {b.huge_side()} fit into the device: nothing ran out")
    run, tries = done.stdout.split()[0], 0
    while done.returncode and f"out of memory on {b.device}" in done.stderr:
        if not b.json("checkpoints", run):
            raise Failed("no checkpoint stands")
        words = re.search(r"frostline (resume \S+(?: --set \S+)+)", done.stderr)
        if tries == 6 or not words:
            raise Failed(f"the remedy did not help: {last_words(done.stderr)}")
        done = b.frostline(*words.group(1).split(), "--quiet", limit=2 * PATIENCE)
        tries += 1
    if not tries or done.returncode:
        raise Failed(f"it ended with {done.returncode}: {last_words(done.stderr)}")
    return f"1024 samples of ResNet-50 at {b.huge_side()}: saved, and went on after {tries} halvings"


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

def speed(host, ahead):
    warm = min(max(steps // 4, 3), 10)
    for step in range(warm + steps):
        if step == warm:
            wait()
            start = time.perf_counter()
        x = host.to(device, non_blocking=ahead).to(memory_format=format)
        opt.zero_grad()
        with torch.autocast(kind, dtype=torch.bfloat16, enabled=precision == "bf16"):
            loss = torch.nn.functional.cross_entropy(model(x), y)
        loss.backward()
        opt.step()
    wait()
    return batch * steps / (time.perf_counter() - start)

print(speed(host, False))
if kind == "cuda":
    print(speed(host.pin_memory(), True))
"""


def throughput(precision, steps, rounds):
    """Beside the loop that most people write, which the program is held to, and beside one with pinned memory, which is told."""

    def check(b):
        if not b.place.python:
            raise Skipped("no Python with PyTorch 2.11 and torchvision: name one with --python")
        numbers = ["resnet50", "224", "128", str(steps)] if b.gpu else ["resnet18", "64", "8", "6"]
        args = [b.device, *numbers, precision, "channels_last"]

        def speeds(program, env):
            done = b.place.run([*program, *args], env=env)
            if done.returncode:
                raise Failed(f"{pathlib.Path(program[0]).name}: {last_words(done.stderr)}")
            return [float(line) for line in done.stdout.split()]

        # Python finds its own libraries, whatever the programs were told.
        turns = [
            speeds([b.place.program("throughput")], b.place.env) + speeds([b.place.python, "-c", LOOP], os.environ)
            for _ in range(rounds)
        ]
        mine, other, *pinned = map(statistics.median, zip(*turns))
        words = f"{mine:.1f} images/s, PyTorch {other:.1f}: {mine / other:.3f} of it"
        for number in pinned:
            words += f" ({mine / number:.3f} of {number:.1f} with pinned memory and non_blocking copies)"
        words += f"; {numbers[0]}, batch {numbers[2]}, {numbers[3]} steps, {rounds} rounds in turns"
        # The CPU's small model tries the script alone.
        if b.gpu and mine < GOAL * other:
            raise Failed(f"{words}; {GOAL} is the goal")
        return words

    return check


def nccl(b):
    """The library's own test, which runs on one GPU too; on several, `several devices` trains over NCCL."""
    if not b.gpu:
        raise Skipped("it is for GPUs")
    test = "engine::parallel::nccl::tests::gpus_talk_over_nccl_and_are_freed_by_the_brake"
    done = b.place.run([b.place.program("library-tests"), "--exact", test, "--nocapture"])
    skipped = re.search(r"skipped: (.*)", done.stderr)
    if skipped:
        raise Skipped(skipped.group(1))
    if done.returncode or " 1 passed" not in done.stdout:
        raise Failed(last_words(done.stderr or done.stdout))
    return "a group over NCCL sums, and ends when it is told to"


RESNET18_FP16 = ["model.arch=resnet18", "data.image_size=64", "train.precision=fp16", "train.channels_last=true"]
EFFICIENTNET = ["model.arch=efficientnet_b0", "data.image_size=64"]
# In the order of what they are worth: a machine may be lent for minutes.
CHECKS = [
    ("devices", devices),
    ("training", training),
    ("throughput bf16", throughput("bf16", 40, 3)),
    ("throughput fp32", throughput("fp32", 20, 2)),
    ("exact resume", exact_resume()),
    ("exact resume, fp16, channels_last", exact_resume(*RESNET18_FP16, small=["model.arch=resnet8", "data.image_size=8"])),
    ("exact resume, dropout", exact_resume(*EFFICIENTNET, small=["model.arch=mobilenet_v3_small", "data.image_size=16"])),
    ("out of memory", out_of_memory),
    ("largest batch", auto_batch),
    ("memory estimate", memory),
    ("another device", other_device),
    ("autocast bf16", autocast("bf16")),
    ("autocast fp16, loss scaling", autocast("fp16")),
    ("several devices", several_devices),
    ("NCCL", nccl),
]


def carry_out(check, place):
    """How it went, and in which words."""
    if place.why_not:
        return "skipped", place.why_not
    bench = Bench(place)
    try:
        return "passed", check(bench)
    except Skipped as e:
        return "skipped", str(e)
    except Failed as e:
        return "FAILED", str(e)
    except (OSError, KeyError, IndexError, ValueError) as e:
        return "FAILED", f"{type(e).__name__}: {e}"
    finally:
        bench.close()


class Report:
    """A table in Markdown, on stdout line by line and in a file that is whole after each check."""

    def __init__(self, out):
        self.out, self.text = out, ""

    def say(self, line):
        print(line, flush=True)
        self.text += line + "\n"
        if self.out:
            pathlib.Path(self.out).write_text(self.text)


def chosen(words):
    checks = [(name, check) for name, check in CHECKS if not words or any(word.lower() in name.lower() for word in words)]
    idle = [word for word in words if not any(word.lower() in name.lower() for name, _ in CHECKS)]
    if idle:
        sys.exit(f"no check is called {idle[0]!r}; there are: {'; '.join(name for name, _ in CHECKS)}")
    return checks


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--device", default="cuda:0", help="cuda:0 if not named; cpu tries the script itself")
    parser.add_argument("--bin", metavar="FOLDER", default=BIN, help="what `make gpu-bundle` made")
    parser.add_argument("--python", help="one with PyTorch 2.11 and torchvision")
    parser.add_argument("--only", metavar="WORD", action="append", default=[], help="checks with this in their name alone; may be repeated")
    parser.add_argument("--out", metavar="FILE", help="where the table goes too, in Markdown")
    parser.add_argument("--list", action="store_true", help="name the checks")
    args = parser.parse_args()
    checks = chosen(args.only)
    if args.list:
        return print("\n".join(name for name, _ in checks))
    # So that what is at work is stopped: a time limit sends it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    began = time.monotonic()
    place = Place(args.bin, args.device, args.python)
    try:
        place.settle()
        report = Report(args.out)
        report.say(f"## {place.title()}\n\n{place.versions()}\n")
    except (Failed, OSError, ValueError) as e:
        sys.exit(f"error: {e}")
    if place.why_not:
        print(f"no GPU to check: {place.why_not}\n", flush=True)
    report.say(f"| {'check':<33} | result  | seconds | what was seen |\n| {'-' * 33} | ------- | ------- | --- |")
    failed = False
    for name, check in checks:
        start = time.monotonic()
        result, words = carry_out(check, place)
        failed |= result == "FAILED"
        words = " ".join(words.replace("|", "/").split())
        report.say(f"| {name:<33} | {result:<7} | {time.monotonic() - start:7.1f} | {words} |")
    report.say(f"\n{time.monotonic() - began:.0f} s in all.")
    sys.exit(failed)


if __name__ == "__main__":
    main()
