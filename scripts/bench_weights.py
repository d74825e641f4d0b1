"""Python's side of examples/bench_weights.rs: prints the seconds that safetensors takes, without the start of Python.

list FILE        names, shapes and types of every tensor
load FILE        load_file, and the sum of every tensor
model FILE       load_file, and load_state_dict of torchvision's vit_l_16
save FILE OUT    save_file, and an fsync of the file
"""

import os
import sys
import time

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file


def list_names(file):
    start = time.perf_counter()
    with safe_open(file, "pt") as opened:
        shapes = {name: (part.get_shape(), part.get_dtype()) for name in opened.keys() for part in [opened.get_slice(name)]}
    seconds = time.perf_counter() - start
    assert shapes
    return seconds


def load(file):
    start = time.perf_counter()
    tensors = load_file(file)
    total = sum(float(tensor.sum()) for tensor in tensors.values())
    seconds = time.perf_counter() - start
    assert total == total
    return seconds


def model(file):
    from torchvision import models

    with torch.device("meta"):
        vit = models.vit_l_16()
    vit.to_empty(device="cpu")
    with torch.no_grad():
        for tensor in vit.state_dict().values():
            tensor.zero_()
    start = time.perf_counter()
    vit.load_state_dict(load_file(file))
    return time.perf_counter() - start


def save(file, out):
    tensors = {name: tensor.clone() for name, tensor in load_file(file).items()}
    start = time.perf_counter()
    save_file(tensors, out)
    with open(out, "rb") as written:
        os.fsync(written.fileno())
    return time.perf_counter() - start


if __name__ == "__main__":
    what, *paths = sys.argv[1:]
    torch.zeros(1).sum()
    print({"list": list_names, "load": load, "model": model, "save": save}[what](*paths))
