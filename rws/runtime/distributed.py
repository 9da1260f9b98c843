"""Several processes of one run, as torchrun starts them; with one process everything here does nothing.

Every process goes through the same steps; each handles its own share of the images, and the first alone
writes what all of them read.
"""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from rws.runtime.signals import end_with_parent

T = TypeVar("T")


def rank() -> int:
    """The number of this process, from 0."""
    return dist.get_rank() if dist.is_initialized() else 0


def world() -> int:
    """The number of processes."""
    return dist.get_world_size() if dist.is_initialized() else 1


def is_first() -> bool:
    """Whether this process writes the run's files."""
    return rank() == 0


def local_device(name: str) -> str:
    """`auto` or `cuda` as the GPU of this process on its machine; other devices as they are."""
    if "LOCAL_RANK" not in os.environ or name not in ("auto", "cuda") or not torch.cuda.is_available():
        return name
    return f"cuda:{int(os.environ['LOCAL_RANK']) % torch.cuda.device_count()}"


@contextmanager
def processes(device: torch.device) -> Iterator[None]:
    """Join the processes that torchrun started, for as long as the block runs."""
    if "RANK" not in os.environ or dist.is_initialized():
        yield
        return
    if device.type == "cuda":
        torch.cuda.set_device(device)
    if "TORCHELASTIC_RUN_ID" in os.environ:  # torchrun; another launcher may end before its processes
        end_with_parent()
    # The others wait while the first trains an arm or writes; the usual ten minutes are soon over.
    dist.init_process_group("nccl" if device.type == "cuda" else "gloo", timeout=timedelta(hours=12))
    try:
        yield
    finally:
        dist.destroy_process_group()


def barrier() -> None:
    """Wait until every process is here."""
    if world() > 1:
        dist.barrier()


def own(items: Sequence[T]) -> Sequence[T]:
    """Every world-th item, from this process's number on: together the processes hold each item once."""
    return items[rank() :: world()]


def summed(values: Tensor) -> Tensor:
    """The sum of the processes' tensors, on all of them.

    Shape: any -> the same.
    """
    if world() > 1:
        values = values.clone()
        dist.all_reduce(values)
    return values


def parallel(network: nn.Module, device: torch.device) -> nn.Module:
    """The network with its gradients averaged over the processes; with one process the network itself.

    On GPUs batch normalisation sees the batches of all processes, in place and under the same names. A
    network that says so, by an attribute `may_leave_parameters_unused`, may have layers without gradients.
    """
    if world() == 1:
        return network
    if device.type == "cuda":
        network = nn.SyncBatchNorm.convert_sync_batchnorm(network)
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=getattr(network, "may_leave_parameters_unused", False),
    )


def share_buffers(network: nn.Module) -> None:
    """Give the buffers of a network in every process the values that they have in the first.

    Without SyncBatchNorm each process has running statistics of its own images.
    """
    if world() > 1:
        for buffer in network.buffers():
            dist.broadcast(buffer, src=0)


def gathered(value: T) -> list[T]:
    """The values of all processes, in the order of their numbers, on all of them."""
    if world() == 1:
        return [value]
    values: list = [None] * world()
    dist.all_gather_object(values, value)
    return values


def of_first(make: Callable[[], T]) -> T:
    """What `make` gives in the first process, which alone calls it, on all of them."""
    return gathered(make() if is_first() else None)[0]
