"""Makes TorchScript models with Python's PyTorch, and judges those that Frostline wrote, for tests/script_python.rs.

    script_reference.py make FOLDER           NAME.pt and NAME.safetensors of each model; prints one line of JSON a model
    script_reference.py odd FOLDER            scripts that offer less: NAME.pt each
    script_reference.py check FILE TWIN       a script's names, values, logits, train and eval mode against the twin
    script_reference.py strict ARCH FILE TWIN loads a state dict strictly into torchvision's model and compares logits

A twin holds a batch `x` and its `logits` in eval mode; of `make` also classes `y` and, under `after.`, the state after one
step of SGD with a rate of 0.1 in train mode; of `check` the state under `state.`. Everything with one thread.
"""

import json
import os
import sys

import torch
import torchvision
from safetensors.torch import load_file, save_file
from torch import nn

LR = 0.1


class Block(nn.Module):
    """A residual block."""

    def __init__(self, width, p):
        super().__init__()
        self.conv = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(width)
        self.drop = nn.Dropout(p)

    def forward(self, x):
        return x + self.drop(torch.relu(self.bn(self.conv(x))))


class Own(nn.Module):
    """What a model of one's own may hold: a parameter and a buffer at the root, a list of modules, code that depends on the mode."""

    def __init__(self, p):
        super().__init__()
        self.scale = nn.Parameter(torch.full((1, 8, 1, 1), 1.5))
        self.register_buffer("mean", torch.full((1,), 0.25))
        self.stem = nn.Sequential(nn.Conv2d(1, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU())
        self.blocks = nn.ModuleList([Block(8, p) for _ in range(3)])
        self.norm = nn.GroupNorm(2, 8)
        self.fc = nn.Linear(8, 10)

    def forward(self, x):
        x = self.stem(x - self.mean) * self.scale
        for block in self.blocks:
            x = block(x)
        if self.training:
            x = x * 0.5
        return self.fc(self.norm(x).mean([2, 3]))


def seeded(make, *args, **kwargs):
    torch.manual_seed(3)
    return make(*args, **kwargs)


def models():
    """name, model, script, shape of a sample"""
    own = seeded(Own, 0.0)
    yield "own", own, torch.jit.script(own), (1, 8, 8)
    drop = seeded(Own, 0.3)
    yield "own_dropout", drop, torch.jit.script(drop), (1, 8, 8)
    small = seeded(torchvision.models.resnet.ResNet, torchvision.models.resnet.BasicBlock, [1, 1, 1, 1], num_classes=5)
    yield "resnet", small, torch.jit.script(small), (3, 64, 64)
    plain = seeded(nn.Sequential, nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(144, 10))
    yield "traced", plain, torch.jit.trace(plain, torch.rand(2, 1, 8, 8)), (1, 8, 8)
    mode = seeded(nn.Sequential, nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))
    yield "traced_eval", mode.eval(), torch.jit.trace(mode, torch.rand(2, 1, 8, 8)), (1, 8, 8)
    mode = seeded(nn.Sequential, nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Dropout(0.5), nn.Flatten(), nn.Linear(144, 10))
    yield "traced_train", mode, torch.jit.trace(mode.train(), torch.rand(2, 1, 8, 8), check_trace=False), (1, 8, 8)


def make(folder):
    for name, model, script, shape in models():
        # The script as it was made: what Frostline trains starts from here.
        script.save(os.path.join(folder, name + ".pt"))
        modules = [[path, type(m).__name__] for path, m in model.named_modules()]
        parameters = [[n, list(p.shape)] for n, p in model.named_parameters()]
        buffers = [[n, list(b.shape)] for n, b in model.named_buffers()]
        twin = {"x": torch.randn(4, *shape), "y": torch.arange(4) % 5}
        initial = {n: t.clone() for n, t in model.state_dict().items()}
        with torch.no_grad():
            twin["logits"] = model.eval()(twin["x"])
        model.train()
        optimizer = torch.optim.SGD(model.parameters(), lr=LR)
        loss = nn.functional.cross_entropy(model(twin["x"]), twin["y"])
        loss.backward()
        optimizer.step()
        twin.update({"after." + n: t.detach().clone().contiguous() for n, t in model.state_dict().items()})
        twin.update({"before." + n: t.contiguous() for n, t in initial.items()})
        save_file(twin, os.path.join(folder, name + ".safetensors"))
        print(json.dumps({"name": name, "modules": modules, "parameters": parameters, "buffers": buffers, "loss": loss.item(), "lr": LR}))


class Taking(nn.Module):
    """Uses a layer's parameters without calling the layer; three channels."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.inner = nn.Sequential(nn.Linear(4, 4), nn.ReLU())
        self.fc = nn.Linear(4, 10)

    def forward(self, x):
        x = self.inner(torch.relu(self.conv(x)).mean([2, 3]))
        return nn.functional.linear(x, self.fc.weight, self.fc.bias)


class Pair(Taking):
    def forward(self, x):
        return self.conv(x), x


def odd(folder):
    def save(name, script):
        script.save(os.path.join(folder, name + ".pt"))

    save("taking", torch.jit.script(Taking()))
    save("pair", torch.jit.script(Pair()))
    save("half", torch.jit.script(Taking()).half())
    save("optimized", torch.jit.optimize_for_inference(torch.jit.script(Own(0.0).eval())))
    save("quantized", torch.jit.script(torch.ao.quantization.quantize_dynamic(Own(0.0), {nn.Linear}, dtype=torch.qint8)))
    torch.save(Taking().state_dict(), os.path.join(folder, "state.pt"))


def close(found, expected, what, tolerance):
    assert found.shape == expected.shape, (what, found.shape, expected.shape)
    far = (found - expected).abs().max().item() / max(expected.abs().max().item(), 1e-12)
    assert far <= tolerance, f"{what}: {far} away"
    return far


def check(file, twin):
    model = torch.jit.load(file)
    twin = load_file(twin)
    state = {n[len("state."):]: t for n, t in twin.items() if n.startswith("state.")}
    found = model.state_dict()
    assert sorted(found) == sorted(state), set(found) ^ set(state)
    parameters, buffers = dict(model.named_parameters()), dict(model.named_buffers())
    assert sorted([*parameters, *buffers]) == sorted(state) and parameters, (sorted(parameters), sorted(buffers))
    assert all(p.requires_grad for p in parameters.values()) and not any(b.requires_grad for b in buffers.values())
    for name, tensor in state.items():
        assert found[name].dtype == tensor.dtype and found[name].equal(tensor), name
    assert not model.training and not any(m.training for m in model.modules())
    x = twin["x"]
    with torch.no_grad():
        far = close(model(x), twin["logits"], "logits", 1e-5)
        assert model(x).equal(model(x))
        # Train mode: batch norm learns, dropout drops; eval mode undoes both.
        model.train()
        assert all(m.training for m in model.modules())
        norms = [n for n in buffers if n.endswith("running_mean")]
        before = {n: buffers[n].clone() for n in norms}
        first, second = model(x), model(x)
        # Read again: a script may put new tensors in the place of its buffers.
        buffers = dict(model.named_buffers())
        assert all(not buffers[n].equal(before[n]) for n in norms), "batch norm does not learn in train mode"
        dropping = not first.equal(second)
        model.eval()
        before = {n: buffers[n].clone() for n in norms}
        assert model(x).equal(model(x))
        assert all(buffers[n].equal(before[n]) for n in norms)
    print(json.dumps({"tensors": len(state), "norms": len(norms), "dropout": dropping, "far": far}))


def strict(arch, file, twin):
    twin = load_file(twin)
    state = load_file(file) if file.endswith(".safetensors") else torch.load(file, weights_only=True)
    model = getattr(torchvision.models, arch)(num_classes=twin["logits"].shape[1])
    model.load_state_dict(state, strict=True)
    with torch.no_grad():
        far = close(model.eval()(twin["x"]), twin["logits"], "logits", 1e-5)
    print(json.dumps({"tensors": len(state), "far": far}))


if __name__ == "__main__":
    torch.set_num_threads(1)
    {"make": make, "odd": odd, "check": check, "strict": strict}[sys.argv[1]](*sys.argv[2:])
