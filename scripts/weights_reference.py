"""Writes weights files of every kind with Python's PyTorch, each with a safetensors twin, for tests/weights_python.rs.

    weights_reference.py write FOLDER     the files; prints one line of JSON a file: name, twin, key, what it is
    weights_reference.py check FILE TWIN  loads a .pth strictly, weights only, and compares it with the twin
"""

import argparse
import collections
import json
import os
import sys

import torch
from safetensors.torch import load_file, save_file
from torch import nn


class Net(nn.Module):
    """A small model with a submodule, buffers (one of them not saved), and a plain attribute."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.block = nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 2, 1, bias=False))
        self.register_buffer("scale", torch.rand(2))
        self.register_buffer("passing", torch.rand(3), persistent=False)
        self.plain = 7

    def forward(self, x):
        return self.block(self.conv(x)) * self.scale.view(1, 2, 1, 1)


class Scripted(nn.Module):
    """What TorchScript takes: an attribute that is neither parameter nor buffer, tied children, names that are numbers."""

    def __init__(self):
        super().__init__()
        self.first = nn.Linear(3, 3)
        self.second = nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))
        self.register_buffer("mean", torch.rand(3))
        self.offset = torch.rand(3)

    def forward(self, x):
        return self.second(self.first(x) - self.mean) + self.offset


def own(tensors):
    """Tensors as a twin holds them: contiguous copies."""
    return {name: t.detach().clone().contiguous() for name, t in tensors.items()}


class Writer:
    def __init__(self, folder):
        self.folder = folder

    def file(self, name, value, twin, key=None, what="", **how):
        torch.save(value, os.path.join(self.folder, name), **how)
        self.say(name, twin, key, what)

    def say(self, name, twin, key=None, what=""):
        twin_name = name.replace("/", "_") + (f".{key}" if key else "") + ".twin"
        save_file(own(twin), os.path.join(self.folder, twin_name))
        print(json.dumps({"file": name, "twin": twin_name, "key": key, "what": what}))


def dtypes():
    types = [torch.float32, torch.float64, torch.float16, torch.bfloat16]
    tensors = {str(t).split(".")[1]: torch.randn(3, 5).to(t) for t in types}
    for t in [torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8]:
        tensors[str(t).split(".")[1]] = torch.randint(0, 100, (4, 2)).to(t)
    tensors["bool"] = torch.rand(7) > 0.5
    tensors["scalar"] = torch.tensor(3.5)
    tensors["count"] = torch.tensor(9)
    tensors["empty"] = torch.empty(0, 4)
    tensors["one"] = torch.ones(1, 1, 1)
    return tensors


def views():
    base = torch.arange(600, dtype=torch.float32).reshape(20, 30)
    wide = torch.arange(24, dtype=torch.float16).reshape(2, 3, 4)
    return {
        "transposed": base.t(),
        "columns": base[:, 3:17:2],
        "rows": base[5:9],
        "permuted": wide.permute(2, 0, 1),
        "expanded": torch.tensor([1.0, 2.0]).unsqueeze(1).expand(2, 50),
        "diagonal": base.diagonal(),
        "windows": torch.arange(50.0).unfold(0, 8, 3),
        "channels_last": torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last),
        "large": torch.randn(700, 900).t(),
        "strided": torch.randn(3, 90000)[:, ::45000],
    }


def tied():
    weight = torch.randn(8, 4)
    flat = torch.randn(40)
    return {"embed.weight": weight, "head.weight": weight, "a": flat[:16].view(4, 4), "b": flat[16:].view(4, 6), "all": flat}


def write(folder):
    torch.manual_seed(0)
    w = Writer(folder)
    net = Net()
    state = net.state_dict()
    plain = dict(state)
    for old in (False, True):
        how = {"_use_new_zipfile_serialization": not old}
        end = ".old.pth" if old else ".pth"
        w.file("state" + end, state, plain, what="OrderedDict with _metadata", **how)
        w.file("dtypes" + end, dtypes_once(), dtypes_once(), what="every type", **how)
        w.file("views" + end, VIEWS, VIEWS, what="views", **how)
        w.file("tied" + end, TIED, TIED, what="shared storages", **how)
        w.file("module" + end, net, plain, what="whole module", **how)
        w.file("parallel" + end, nn.DataParallel(net), {f"module.{k}": v for k, v in plain.items()}, what="DataParallel", **how)
        w.file("parameters" + end, {k: nn.Parameter(v) if v.is_floating_point() else v for k, v in plain.items()}, plain, **how)
        timm = {
            "epoch": 3,
            "arch": "net",
            "state_dict": state,
            "state_dict_ema": {k: v + 1 for k, v in plain.items()},
            "optimizer": optimizer(net).state_dict(),
            "args": argparse.Namespace(lr=0.1, sizes=[1, 2]),
            "metric": numpy_number(0.75),
            "version": 2,
        }
        w.file("timm" + end, timm, plain, what="timm", **how)
        w.say("timm" + end, {k: v + 1 for k, v in plain.items()}, key="state_dict_ema")
        for protocol in (3, 4, 5):
            w.file(f"protocol{protocol}{end}", timm, plain, pickle_protocol=protocol, **how)
    # Protocol 0 writes storages as text that torch.load itself cannot read back.
    w.file("protocol1.old.pth", timm, plain, pickle_protocol=1, _use_new_zipfile_serialization=False)
    lightning = {
        "epoch": 1,
        "global_step": 20,
        "pytorch-lightning_version": "2.2.0",
        "state_dict": {f"model.{k}": v for k, v in plain.items()},
        "loops": {"fit_loop": {"state_dict": {}, "epoch_progress": {"total": {"ready": 1}}}},
        "callbacks": {"ModelCheckpoint{'monitor': None}": {"best_model_score": torch.tensor(0.5)}},
        "optimizer_states": [optimizer(net).state_dict()],
        "lr_schedulers": [],
        "hparams_name": "kwargs",
        "hyper_parameters": collections.OrderedDict(lr=0.1, config=argparse.Namespace(width=3)),
    }
    w.file("lightning.ckpt", lightning, lightning["state_dict"], what="Lightning")
    for name in ("model", "net", "model_state_dict", "ema", "module", "params"):
        w.file(f"nested_{name}.pth", {"epoch": torch.tensor(3), name: state}, plain, what=f"under {name}")
    w.file("deep.pth", {"checkpoint": {"model": {"state_dict": state}}}, plain, what="three deep")
    w.file("deep2.pth", {"a.b": {"c": plain}, "other": {"x": torch.rand(2)}}, plain, key="a.b.c", what="names with dots")
    pair = {"encoder": {"w": torch.rand(2)}, "decoder": {"w": torch.rand(3)}}
    w.file("pair.pth", pair, {"encoder.w": pair["encoder"]["w"], "decoder.w": pair["decoder"]["w"]}, what="two without known names")
    yolo = {"epoch": -1, "model": net.half(), "ema": None, "optimizer": None, "date": "today"}
    w.file("yolo.pt", yolo, dict(net.state_dict()), what="module under model")
    one = torch.rand(3)
    w.file("tensor.pt", one, {"tensor": one}, what="one tensor")
    w.file("list.pt", [one, one + 1], {"0": one, "1": one + 1}, what="a list")
    torch.serialization.set_crc32_options(False)
    w.file("nocrc.pth", plain, plain, what="no checksums")
    torch.serialization.set_crc32_options(True)

    net = Scripted().eval()
    expected = dict(torch.jit.script(net).state_dict())
    script = torch.jit.script(net)
    script.save(os.path.join(folder, "script.pt"))
    w.say("script.pt", expected, what="torch.jit.script")
    trace = torch.jit.trace(net, torch.rand(2, 3))
    trace.save(os.path.join(folder, "trace.pt"))
    w.say("trace.pt", dict(trace.state_dict()), what="torch.jit.trace")

    for name, form in (("sharded", "safetensors"), ("sharded_bin", "bin")):
        os.mkdir(os.path.join(folder, name))
        names = list(plain)
        parts = [dict((n, plain[n].contiguous()) for n in names[i::3]) for i in range(3)]
        files = {}
        stem = "model" if form == "safetensors" else "pytorch_model"
        for i, part in enumerate(parts):
            file = f"{stem}-{i + 1:05}-of-00003.{form}"
            path = os.path.join(folder, name, file)
            save_file(part, path, {"format": "pt"}) if form == "safetensors" else torch.save(part, path)
            files.update({n: file for n in part})
        with open(os.path.join(folder, name, f"{stem}.{form}.index.json"), "w") as f:
            json.dump({"metadata": {"total_size": 1}, "weight_map": files}, f)
        w.say(name, plain, what="folder")
        w.say(f"{name}/{stem}.{form}.index.json", plain, what="index")


def numpy_number(x):
    import numpy

    return numpy.float64(x)


def optimizer(net):
    adam = torch.optim.Adam(net.parameters())
    for p in net.parameters():
        p.grad = torch.zeros_like(p)
    adam.step()
    net.zero_grad()
    return adam


def check(file, twin):
    found = torch.load(file, weights_only=True, map_location="cpu")
    assert isinstance(found, collections.OrderedDict), type(found)
    expected = load_file(twin)
    assert list(found) == [name for name in found if name in expected] and len(found) == len(expected), (list(found), list(expected))
    for name, tensor in expected.items():
        got = found[name]
        assert got.dtype == tensor.dtype and got.shape == tensor.shape and got.is_contiguous(), name
        assert got.flatten().view(torch.uint8).equal(tensor.flatten().view(torch.uint8)), name

    class Holder(nn.Module):
        pass

    holder = Holder()
    for name, tensor in expected.items():
        if "." not in name and not hasattr(holder, name):
            holder.register_buffer(name, torch.zeros_like(tensor))
    if len(holder.state_dict()) == len(expected):
        holder.load_state_dict(found, strict=True)
    print("ok", len(found))


def dtypes_once():
    return DTYPES


DTYPES = dtypes()
VIEWS = views()
TIED = tied()

if __name__ == "__main__":
    if sys.argv[1] == "write":
        write(sys.argv[2])
    else:
        check(*sys.argv[2:])
