"""What a benchmark gives: rows with medians, a ratio, and the target it is held against."""

import time
from dataclasses import asdict, dataclass, field
from typing import Literal

import torch

from benchmarks.timing import Clock, Samples


@dataclass(frozen=True)
class Context:
    """How the benchmarks are run.

    tiny: small sizes, which try the harness and measure nothing.
    repeats: timed pairs of a quick benchmark; slow ones take fewer.
    run: folder of a finished run, for `cycle` and the fused shares of `bank`; may be absent.
    cpu_time: time of this process in place of the wall clock, where other programs take the cores; of
        `predict-backend`, `film`, `ways-rws` and `plan`.
    """

    device: torch.device
    tiny: bool = False
    repeats: int = 5
    run: str | None = None
    cpu_time: bool = False

    @property
    def clock(self) -> Clock:
        return time.process_time if self.cpu_time else time.perf_counter

    @property
    def network(self) -> str:
        """The network of most benchmarks."""
        return "deeplabv3_efficientnet_lite0" if self.tiny else "deeplabv3_resnet50"

    def few(self, most: int) -> int:
        """Repeats of a benchmark that takes a minute a pair."""
        return min(self.repeats, most)


@dataclass(frozen=True)
class Target:
    """What is to be reached: at least or at most `value`, by the ratio or by our own median."""

    direction: Literal["at least", "at most"]
    value: float
    of: Literal["ratio", "ours"] = "ratio"

    def reached(self, value: float) -> bool:
        return value >= self.value if self.direction == "at least" else value <= self.value

    def __str__(self) -> str:
        return f"{self.direction} {self.value:g}{'x' if self.of == 'ratio' else ''}"


@dataclass(frozen=True)
class Row:
    """One line of the table.

    ours, peer: medians in `unit`; peer and ratio are absent where there is none.
    ratio: peer / ours where it shall be large (how many times faster or smaller), ours / peer where the
        target is an "at most" (how many times the cost).
    samples: all measurements, in `unit`. figures: numbers that follow from them.
    """

    name: str
    ours: float
    peer: float | None
    ratio: float | None
    target: Target | None
    unit: str
    sizes: dict
    samples: dict[str, list[float]]
    figures: dict = field(default_factory=dict)
    note: str = ""

    @property
    def ok(self) -> bool | None:
        """Whether the target is reached; None without a target."""
        if self.target is None:
            return None
        return self.target.reached(self.ratio if self.target.of == "ratio" else self.ours)

    def record(self) -> dict:
        """The row as JSON, with the spread of the samples: smallest and largest."""
        spread = {k: [min(v), max(v)] for k, v in self.samples.items() if v}
        return {**asdict(self), "spread": spread, "ok": self.ok}


def make_row(
    name: str, samples: Samples, target: Target | None, sizes: dict, unit: str = "s", **more: object
) -> Row:
    """A row from its samples. `more`: figures, note."""
    ours, peer = samples.medians
    ratio = None
    if peer is not None:
        as_cost = target is not None and target.direction == "at most"
        ratio = ours / peer if as_cost else peer / ours
    return Row(name, ours, peer, ratio, target, unit, sizes, asdict(samples), **more)
