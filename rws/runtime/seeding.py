"""Random states as pure functions of what they are for, so that a resumed run draws the same numbers."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np


def derive_seed(*keys: int | str) -> int:
    """A 63-bit seed from a sequence of numbers and names."""
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)


@contextmanager
def drawn_from(seed: int) -> Iterator[None]:
    """Inside the block torch draws on the CPU from a state of this seed, after it from where it was before.

    `torch.manual_seed` seeds accelerators as well. For each that has not begun yet torch notes the stack of
    calls, for every image anew.
    """
    import torch

    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        yield


def take_deterministic_kernels() -> None:
    """Ask torch for deterministic kernels; it warns of every operation that has none.

    On CUDA the backward passes of bilinear interpolation and of cross-entropy over maps have none in some
    versions of torch.
    """
    import torch

    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.benchmark = False
