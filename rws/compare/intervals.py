"""What is said about the arms of an experiment, from one number for each seed."""

import math
import statistics
from collections.abc import Callable
from dataclasses import asdict, dataclass

import numpy as np
import torch
from scipy.stats import t as student_t

from rws.training.evaluation import iou_per_class

CONFIDENCE = 0.95


@dataclass(frozen=True)
class Spread:
    """A mean over seeds with the standard deviation of one seed; None where one seed alone says nothing."""

    mean: float
    std: float | None
    each: list[float]


@dataclass(frozen=True)
class Difference:
    """A mean paired difference and its 95 % interval; no interval with one seed."""

    mean: float
    low: float | None
    high: float | None
    each: list[float]


def spread(values: list[float]) -> dict:
    """Mean and standard deviation (n - 1) over seeds."""
    std = statistics.stdev(values) if len(values) > 1 else None
    return asdict(Spread(statistics.fmean(values), std, values))


def difference(ours: list[float], theirs: list[float]) -> dict:
    """Mean of the differences seed by seed, and the interval in which it lies by Student's t.

    Source: paired t interval, mean +- t(0.975, n - 1) s / sqrt(n).
    """
    each = [a - b for a, b in zip(ours, theirs, strict=True)]
    mean, n = statistics.fmean(each), len(each)
    if n < 2:
        return asdict(Difference(mean, None, None, each))
    half = float(student_t.ppf((1 + CONFIDENCE) / 2, n - 1)) * statistics.stdev(each) / math.sqrt(n)
    return asdict(Difference(mean, mean - half, mean + half, each))


DRAWS = 1000  # of a bootstrap


def bootstrap(ours: np.ndarray, theirs: np.ndarray, score: Callable[[np.ndarray], float]) -> dict:
    """Mean difference of a score over seeds, and its 95 % interval over a bootstrap of the images.

    Every draw takes as many images with replacement, the same ones for all seeds and for both sides.

    Shape: (seeds, images, ...) each; `score` takes (images, ...).
    """
    each = [score(a) - score(b) for a, b in zip(ours, theirs, strict=True)]
    generator, count = np.random.default_rng(0), ours.shape[1]
    drawn = []
    for _ in range(DRAWS):
        images = generator.integers(count, size=count)
        drawn.append(np.mean([score(a[images]) - score(b[images]) for a, b in zip(ours, theirs)]))
    low, high = np.quantile(drawn, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return asdict(Difference(statistics.fmean(each), float(low), float(high), each))


def class_ious(confusion: list[list[int]]) -> list[float | None]:
    """IoU in percent of each class; None for a class that is neither labelled nor predicted."""
    iou = (iou_per_class(torch.tensor(confusion)) * 100).tolist()
    return [None if math.isnan(value) else value for value in iou]


def labelled_miou(confusion: list[list[int]]) -> float | None:
    """Mean IoU in percent over the classes that are labelled in a group of pixels; None for an empty group.

    Classes that are only predicted there are left out: which ones do would differ from network to network.
    """
    counts = torch.tensor(confusion)
    present = counts.sum(1) > 0
    return float(iou_per_class(counts)[present].mean() * 100) if present.any() else None
