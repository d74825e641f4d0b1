"""Writes tests/fixtures/pytorch.json: what Python's PyTorch 2.11 computes for the agreement tests.

Run by `make fixtures` in a scratch environment with torch==2.11.0 and torchvision==0.26.0. Everything is made from
formulas, so that the file holds results only: the value number i of tensor number k of a state dict is
`scale * sin(0.7 * i + k)`, with scale 1 / sqrt(fan in) for weights of two or more dimensions; biases of linear layers are 0,
other tensors are as PyTorch leaves them.
"""

import csv
import gzip
import json
import math
import pathlib

import torch
import torchvision
from torch import nn

ROOT = pathlib.Path(__file__).resolve().parent.parent
STEPS = 50
BATCH = 16
MIXED_STEPS = 20


def digits():
    with gzip.open(ROOT / "data" / "digits.csv.gz", "rt") as f:
        rows = [[int(v) for v in row] for row in csv.reader(f)]
    x = torch.tensor([r[:64] for r in rows], dtype=torch.float32) / 16
    return x.view(-1, 1, 8, 8), torch.tensor([r[64] for r in rows])


def fill(model):
    with torch.no_grad():
        for k, (name, t) in enumerate(model.state_dict().items()):
            if t.dim() >= 2:
                i = torch.arange(t.numel(), dtype=torch.float64)
                scale = 1 / math.sqrt(t[0].numel())
                t.copy_((scale * torch.sin(0.7 * i + k)).float().view(t.shape))
            elif "fc" in name:
                t.zero_()
    return model


def scatter(model):
    """Values without a pattern (a 32-bit integer hash), about as large as PyTorch's own initialisation makes them: those of
    `fill` cancel each other out in a deep model, and rounding is all that is left."""
    mask = 0xFFFFFFFF
    with torch.no_grad():
        for k, (name, t) in enumerate(model.state_dict().items()):
            if t.dim() >= 2:
                h = (torch.arange(t.numel(), dtype=torch.int64) + k * 2654435761) & mask
                for _ in range(2):
                    h = ((h ^ (h >> 16)) * 0x45D9F3B) & mask
                h = h ^ (h >> 16)
                scale = 2 / math.sqrt(t[0].numel())
                t.copy_((scale * (h.double() / 2**31 - 1)).float().view(t.shape))
            elif "fc" in name:
                t.zero_()
    return model


def mlp():
    layers = {"flatten": nn.Flatten(), "fc1": nn.Linear(64, 32), "relu1": nn.ReLU(), "fc2": nn.Linear(32, 10)}
    model = nn.Sequential()
    for name, layer in layers.items():
        model.add_module(name, layer)
    return model


class SmallResNet(nn.Module):
    def __init__(self, width=4):
        super().__init__()
        block = torchvision.models.resnet.BasicBlock
        self.conv1 = nn.Conv2d(1, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.relu = nn.ReLU()
        inputs = width
        for i in range(3):
            outputs, stride = width << i, 1 if i == 0 else 2
            down = None
            if stride != 1 or inputs != outputs:
                down = nn.Sequential(nn.Conv2d(inputs, outputs, 1, stride, bias=False), nn.BatchNorm2d(outputs))
            setattr(self, f"layer{i + 1}", nn.Sequential(block(inputs, outputs, stride, down)))
            inputs = outputs
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(inputs, 10)

    def forward(self, x):
        x = self.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))
        return self.fc(self.avgpool(x).flatten(1))


OPTIMIZERS = {
    "sgd": lambda p: torch.optim.SGD(p, lr=0.05),
    "sgd-nesterov": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-3),
    "sgd-dampening": lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, dampening=0.3),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-3, weight_decay=1e-2),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-3),
    "adamw-amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-3, betas=(0.8, 0.99), eps=1e-7, amsgrad=True),
}


def grouped(model):
    """Rates that fall by 0.8 a block from the head, one block with numbers of its own, no decay on norms and biases."""
    blocks = [name for name, block in model.named_children() if any(True for _ in block.parameters())]
    groups = []
    for name, p in model.named_parameters():
        block = name.split(".")[0]
        lr = 2e-2 if block == "layer2" else 1e-2 * 0.8 ** (len(blocks) - 1 - blocks.index(block))
        decay = 0.0 if p.dim() == 1 else 0.5 if block == "layer2" else 0.1
        groups.append({"params": [p], "lr": lr, "weight_decay": decay})
    return torch.optim.AdamW(groups)


def train(model, optimizer, clip=None, loss=None):
    loss = loss or nn.CrossEntropyLoss()
    x, y = digits()
    opt = grouped(model) if optimizer == "groups" else OPTIMIZERS[optimizer](model.parameters())
    losses, norms = [], []
    for step in range(STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        opt.zero_grad()
        value = loss(model(x[rows]), y[rows])
        value.backward()
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf).item())
        opt.step()
        losses.append(value.item())
    model.eval()
    with torch.no_grad():
        logits = model(x[:2]).flatten().tolist()
    return {"losses": losses, "norms": norms, "logits": logits}


def mixed(model, dtype, optimizer, clip=None, channels_last=False, factor=1):
    """Autocast, with torch.amp.GradScaler where it is float16. A factor on the samples makes gradients overflow."""
    x, y = digits()
    x = x * factor
    if channels_last:
        model, x = model.to(memory_format=torch.channels_last), x.to(memory_format=torch.channels_last)
    opt = OPTIMIZERS[optimizer](model.parameters())
    scaler = torch.amp.GradScaler("cpu", enabled=dtype == torch.float16)
    losses, norms, scales = [], [], []
    for step in range(MIXED_STEPS):
        rows = slice(step * BATCH, (step + 1) * BATCH)
        opt.zero_grad()
        with torch.amp.autocast("cpu", dtype=dtype):
            output = model(x[rows])
        value = nn.functional.cross_entropy(output.float(), y[rows])
        scales.append(scaler.get_scale())
        scaler.scale(value).backward()
        scaler.unscale_(opt)
        norm = nn.utils.clip_grad_norm_(model.parameters(), clip or math.inf).item()
        norms.append(norm if math.isfinite(norm) else None)
        scaler.step(opt)
        scaler.update()
        losses.append(value.item())
    return {"losses": losses, "norms": norms, "scales": scales}


def smoothed():
    weights = torch.tensor([1.0 + 0.1 * c for c in range(10)])
    return nn.CrossEntropyLoss(weight=weights, label_smoothing=0.1)


def zoo(name):
    model = scatter(getattr(torchvision.models, name)(num_classes=10)).eval()
    i = torch.arange(3 * 64 * 64, dtype=torch.float64)
    x = torch.sin(0.01 * i).float().view(1, 3, 64, 64)
    with torch.no_grad():
        logits = model(x).flatten().tolist()
    state = model.state_dict()
    return {
        "parameters": sum(p.numel() for p in model.parameters()),
        "tensors": len(state),
        "names": list(state)[:12] + list(state)[-8:],
        "logits": logits,
    }


def main():
    torch.set_num_threads(1)
    torch.manual_seed(0)
    out = {"torch": torch.__version__.split("+")[0], "mlp": {}, "resnet8": {}, "zoo": {}}
    for name in OPTIMIZERS:
        out["mlp"][name] = train(fill(mlp()), name)
    out["mlp"]["sgd-nesterov-clip"] = train(fill(mlp()), "sgd-nesterov", clip=0.5)
    out["mlp"]["adamw-smoothed"] = train(fill(mlp()), "adamw", loss=smoothed())
    for name in ["sgd-nesterov", "adamw", "groups"]:
        out["resnet8"][name] = train(fill(SmallResNet()), name)
    out["mixed"] = {
        "mlp-bf16": mixed(fill(mlp()), torch.bfloat16, "adamw"),
        "mlp-fp16": mixed(fill(mlp()), torch.float16, "adamw"),
        "mlp-fp16-overflow": mixed(fill(mlp()), torch.float16, "adamw", factor=64),
        "resnet8-bf16": mixed(fill(SmallResNet()), torch.bfloat16, "sgd-nesterov"),
        "resnet8-fp16": mixed(fill(SmallResNet()), torch.float16, "sgd-nesterov", clip=0.5),
        "resnet8-fp16-channels-last": mixed(fill(SmallResNet()), torch.float16, "adamw", channels_last=True),
    }
    for name in ["resnet18", "resnet50"]:
        out["zoo"][name] = zoo(name)
    path = ROOT / "tests" / "fixtures" / "pytorch.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(out, indent=0) + "\n")


main()
