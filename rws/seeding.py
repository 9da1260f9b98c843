"""Random states as pure functions of what they are for, so that a resumed run draws the same numbers."""

import zlib

import numpy as np


def derive_seed(*keys: int | str) -> int:
    """A 63-bit seed from a sequence of numbers and names."""
    words = [zlib.crc32(key.encode()) if isinstance(key, str) else key for key in keys]
    return int(np.random.SeedSequence(words).generate_state(1, np.uint64)[0] >> 1)
