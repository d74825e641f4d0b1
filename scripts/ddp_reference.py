"""Trains a small model with batch norm under Python's DistributedDataParallel over Gloo, for tests/parallel.rs.

    ddp_reference.py FOLDER RANKS     model.pt and data.safetensors, what both begin with; after.safetensors, the state of
                                      rank 0 after it; prints the mean loss of each step

Each rank takes a contiguous share of every batch; all shares are of one size, as DistributedDataParallel wants them.
"""

import os
import sys
import time

import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from torch import nn

BATCH, STEPS, LR, MOMENTUM = 12, 20, 0.05, 0.9


def model():
    torch.manual_seed(5)
    return nn.Sequential(
        nn.Conv2d(1, 6, 3, padding=1), nn.BatchNorm2d(6), nn.ReLU(),
        nn.Conv2d(6, 8, 3, stride=2, padding=1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3),
    )


def rank_main(rank, ranks, folder):
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=ranks)
    data = load_file(f"{folder}/data.safetensors")
    net = nn.parallel.DistributedDataParallel(model().train())
    optimizer = torch.optim.SGD(net.parameters(), lr=LR, momentum=MOMENTUM)
    for step in range(STEPS):
        start = step * BATCH % len(data["x"])
        share = slice(start + rank * BATCH // ranks, start + (rank + 1) * BATCH // ranks)
        loss = nn.functional.cross_entropy(net(data["x"][share]), data["y"][share])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        mean = loss.detach() / ranks
        dist.all_reduce(mean)
        if rank == 0:
            print(mean.item(), flush=True)
    if rank == 0:
        save_file(net.module.state_dict(), f"{folder}/after.safetensors")
    # A rank that closes its connections first can bring Gloo's threads in another one to abort it: all stay until all are done.
    open(f"{folder}/done-{rank}", "w").close()
    time.sleep(600)


if __name__ == "__main__":
    folder, ranks = sys.argv[1], int(sys.argv[2])
    # Nothing beyond this machine is asked for.
    os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    torch.manual_seed(1)
    x = torch.randn(4 * BATCH, 1, 6, 6) * torch.linspace(0.2, 2, 4 * BATCH).view(-1, 1, 1, 1)
    save_file({"x": x, "y": torch.arange(4 * BATCH) % 3}, f"{folder}/data.safetensors")
    torch.jit.script(model()).save(f"{folder}/model.pt")
    context = mp.spawn(rank_main, (ranks, folder), nprocs=ranks, join=False)
    while not all(os.path.exists(f"{folder}/done-{rank}") for rank in range(ranks)):
        # Raises where one has failed.
        context.join(timeout=0.05)
    for process in context.processes:
        process.kill()
