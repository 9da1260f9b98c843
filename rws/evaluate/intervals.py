"""Differences between scores, with the interval in which they lie over a bootstrap of the images."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np

CONFIDENCE = 0.95
DRAWS = 1000  # of a bootstrap


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and its 95 % interval; no interval with one seed, or where no draw scores."""

    mean: float
    low: float | None
    high: float | None
    each: list[float]


def bootstrap(ours: np.ndarray, theirs: np.ndarray, score: Callable[[np.ndarray], float]) -> dict:
    """Mean difference of a score over seeds, and its 95 % interval over a bootstrap of the images.

    Every draw takes as many images with replacement, the same ones for all seeds and for both sides. One of
    images without a score, as where no pixel counts, is left out.

    Shape: (seeds, images, ...) each; `score` takes the sum over the images, (...).
    """
    each = [score(a.sum(0)) - score(b.sum(0)) for a, b in zip(ours, theirs, strict=True)]
    generator, count = np.random.default_rng(0), ours.shape[1]
    drawn = []
    for _ in range(DRAWS):
        times = np.bincount(generator.integers(count, size=count), minlength=count)
        sums = ((np.tensordot(times, side, 1) for side in pair) for pair in zip(ours, theirs))
        drawn.append(np.mean([score(a) - score(b) for a, b in sums]))
    scored = [each for each in drawn if not math.isnan(each)]
    ends = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    low, high = np.quantile(scored, ends).tolist() if scored else (None, None)
    return asdict(Difference(statistics.fmean(each), low, high, each))
