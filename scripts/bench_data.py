"""Python's side of examples/bench_data.rs, without the start of Python.

list FOLDER             seconds that ImageFolder takes
train FOLDER WORKERS    images a second that DataLoader yields, with random crops and flips
val FOLDER WORKERS      the same, resized and cut from the middle
"""

import sys
import time

from torch.utils.data import DataLoader
from torchvision import transforms as t
from torchvision.datasets import ImageFolder

BATCH = 32
AS_TENSOR = [t.ToTensor(), t.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])]
WAYS = {
    "train": t.Compose([t.RandomResizedCrop(224), t.RandomHorizontalFlip(), *AS_TENSOR]),
    "val": t.Compose([t.Resize(256), t.CenterCrop(224), *AS_TENSOR]),
}


def listed(folder):
    start = time.perf_counter()
    data = ImageFolder(folder)
    seconds = time.perf_counter() - start
    assert len(data)
    return seconds


def read(what, folder, workers):
    data = ImageFolder(folder, WAYS[what])
    loader = DataLoader(data, BATCH, shuffle=what == "train", num_workers=workers)
    start = time.perf_counter()
    seen = sum(len(x) for x, _ in loader)
    seconds = time.perf_counter() - start
    assert seen == len(data)
    return seen / seconds


if __name__ == "__main__":
    what, folder, *rest = sys.argv[1:]
    print(listed(folder) if what == "list" else read(what, folder, int(rest[0])))
