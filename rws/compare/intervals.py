"""What is said about the arms of an experiment, from one number for each seed."""

import math
import statistics
from dataclasses import asdict, dataclass

from scipy.stats import t as student_t

from rws.evaluate.intervals import CONFIDENCE, Difference


@dataclass(frozen=True)
class Spread:
    """A mean over seeds with the standard deviation of one seed; None where one seed alone says nothing."""

    mean: float
    std: float | None
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
