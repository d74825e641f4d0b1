"""Torchvision's models, for the tests of the zoo.

    zoo_reference.py fixture              tests/fixtures/zoo.json, on stdout
    zoo_reference.py write FOLDER ARCH…   for each a state dict with random values, what the model makes of a fixed input, and
                                          its values after one step of SGD; one JSON line each on stdout

Needs the versions of scripts/python_ref.py.
"""

import hashlib
import json
import math
import sys
from pathlib import Path

import torch
from torch import nn
from torchvision import models, ops

FAMILIES = (
    "resnet", "resnext", "wide_resnet", "alexnet", "vgg", "squeezenet", "densenet", "mobilenet", "efficientnet", "convnext",
    "vit_",
)
CLASSES = 10
BATCH = 4
LR = 0.05
SAMPLE = 512
DRAWS = 65536


def architectures():
    return [name for name in models.list_models(module=models) if name.startswith(FAMILIES)]


def one(value):
    return value if isinstance(value, int) else value[0]


def detail(m):
    """The hyper-parameters as Frostline's tree shows them."""
    if isinstance(m, nn.Conv2d):
        text = f"{m.in_channels}->{m.out_channels} {m.kernel_size[0]}x{m.kernel_size[1]}"
        for letter, value in (("s", m.stride[0]), ("d", m.dilation[0]), ("g", m.groups)):
            text += f" {letter}{value}" if value != 1 else ""
        return text
    if isinstance(m, nn.Linear):
        return f"{m.in_features}->{m.out_features}"
    if isinstance(m, nn.BatchNorm2d):
        return str(m.num_features)
    if isinstance(m, nn.LayerNorm):
        return str(m.normalized_shape[0])
    if isinstance(m, (nn.MaxPool2d, nn.AvgPool2d)):
        return f"{one(m.kernel_size)}x{one(m.kernel_size)} s{one(m.stride)}"
    if isinstance(m, nn.AdaptiveAvgPool2d):
        return str(one(m.output_size))
    if isinstance(m, nn.Dropout):
        return f"p={m.p:g}"
    if isinstance(m, ops.StochasticDepth):
        return f"p={m.p:.4f}"
    if isinstance(m, ops.Permute):
        return ",".join(map(str, m.dims))
    if isinstance(m, nn.MultiheadAttention):
        return f"{m.embed_dim} h{m.num_heads}"
    return ""


def sha256(lines):
    return hashlib.sha256("".join(line + "\n" for line in lines).encode()).hexdigest()


def fixture():
    found = {}
    for arch in architectures():
        with torch.device("meta"):
            model = models.get_model(arch)
        state = [f"{name} {','.join(map(str, t.shape))}" for name, t in model.state_dict().items()]
        modules = [f"{name} {type(m).__name__} {detail(m)}" for name, m in model.named_modules()]
        found[arch] = {
            "parameters": sum(p.numel() for p in model.parameters()),
            "state": sha256(state),
            "modules": sha256(modules),
            "head": [name for name, _ in model.named_parameters()][-1].rpartition(".")[0],
        }
    print(json.dumps(found, indent=1))


def fill(model):
    """Values under which every tensor matters: torchvision begins with heads of 0 and layer scales of 1e-6."""
    for name, t in model.state_dict().items():
        if t.dtype != torch.float32:
            continue
        if name.endswith("running_var") or (t.dim() == 1 and name.endswith("weight")):
            t.uniform_(0.5, 1.5)
        elif t.dim() == 1:
            t.normal_(std=0.1)
        elif name.endswith("layer_scale"):
            t.uniform_(0.1, 0.5)
        elif name.endswith(("class_token", "pos_embedding")):
            t.normal_(std=0.5)
        else:
            t.normal_(std=1.3 / math.sqrt(t[0].numel()))


def settle(model, x):
    """Running statistics near those of real activations: with others the input is lost on the way through deep models."""
    norms = [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]
    usual = [m.momentum for m in norms]
    for m in norms:
        m.momentum = 1.0
    model.train()
    model(x)
    for m, momentum in zip(norms, usual):
        m.momentum = momentum
        m.running_mean.add_(0.1 * torch.randn_like(m.running_mean) * m.running_var.sqrt())
        m.running_var.mul_(torch.empty_like(m.running_var).uniform_(0.8, 1.25))


def sample(t, most=SAMPLE):
    flat = t.detach().reshape(-1)
    return flat[:: max(1, -(-flat.numel() // most))].to(torch.float32).clone()


def spread(t):
    t = sample(t, DRAWS).to(torch.float64)
    # `trunc_normal_` draws its bound of -2 now and then, a hundred deviations out.
    t = t[t.abs() < 2]
    return torch.tensor([t.mean(), t.std(correction=0), t.max()], dtype=torch.float32)


def reference(arch, folder):
    from safetensors.torch import save_file

    torch.manual_seed(1)
    side = 56 if arch == "vit_h_14" else 64
    model = models.get_model(arch, num_classes=CLASSES, **({"image_size": side} if arch.startswith("vit_") else {}))
    told = {f"init.{name}": spread(t) for name, t in model.state_dict().items() if t.dtype == torch.float32}
    for m in model.modules():
        if isinstance(m, (nn.Dropout, ops.StochasticDepth)):
            m.p = 0.0
    with torch.no_grad():
        fill(model)
        settle(model, torch.randn(2 * BATCH, 3, side, side))
    state = model.state_dict()
    save_file({name: t.contiguous() for name, t in state.items()}, folder / f"{arch}.safetensors")
    before = {name: sample(t) for name, t in state.items()}

    told["x"] = torch.randn(BATCH, 3, side, side)
    told["y"] = torch.arange(BATCH) % CLASSES
    model.eval()
    with torch.no_grad():
        told["logits"] = model(told["x"])
    model.train()
    loss = nn.functional.cross_entropy(model(told["x"]), told["y"])
    loss.backward()
    # The deepest models have gradients that would end in infinities.
    norm = float(torch.stack([p.grad.norm() for p in model.parameters()]).norm())
    lr = LR * min(1.0, 10.0 / norm)
    torch.optim.SGD(model.parameters(), lr=lr).step()
    told["loss"] = loss.detach().reshape(1)
    for name, t in model.state_dict().items():
        told[f"before.{name}"] = before[name]
        told[f"after.{name}"] = sample(t)
    model.eval()
    with torch.no_grad():
        told["logits_after"] = model(told["x"])
    save_file(told, folder / f"{arch}.told.safetensors")
    parameters = sum(p.numel() for p in model.parameters())
    print(json.dumps({"arch": arch, "side": side, "classes": CLASSES, "lr": lr, "parameters": parameters}))


if __name__ == "__main__":
    if sys.argv[1] == "fixture":
        fixture()
    else:
        for name in sys.argv[3:]:
            reference(name, Path(sys.argv[2]))
