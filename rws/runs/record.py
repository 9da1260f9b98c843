"""The record of a cycle and the state of a run: what later steps, the log, the summary and the reports read.

The files of a run hold both as plain containers, which `to_dict` makes and `from_dict` reads.
"""

from dataclasses import dataclass, field, fields, replace
from typing import TypedDict

from rws.runs.shape import misfit

# The steps of a cycle, by the name that the files of a run keep, with the word that a person sees. Of the
# method's five, look, find, train on slices, select and fuse: `score` looks and finds, `slices` and `select`
# are one each, and `whole` is the training that fuses. `plain` trains the network that RWS is compared with,
# and `teach` makes targets of photographs without labels for the next training.
STEPS = {
    "whole": "train",
    "plain": "plain",
    "score": "look",
    "slices": "slices",
    "select": "select",
    "teach": "teach",
}
# The seconds of a cycle hold those of its steps, and beside them these sums over its trainings.
INSIDE = ("steps", "evaluation")


def training_key(step: str, cycle: int) -> str:
    """The name of a training in the files of a run; the random numbers of the training depend on it."""
    return f"{step}-{cycle}"


def shown(step: str, cycle: int) -> str:
    """A step of a cycle as a person sees it."""
    return f"cycle {cycle}: {STEPS[step]}"


@dataclass(frozen=True)
class Spent:
    """Seconds that trainings took: before they were resumed, in optimizer steps, in evaluation."""

    before: float = 0.0
    steps: float = 0.0
    evaluation: float = 0.0


@dataclass(frozen=True)
class Part:
    """The part of a cycle's record that one step gives: fields of `CycleRecord`, and what training took."""

    found: dict[str, object] = field(default_factory=dict)
    spent: Spent = Spent()


class _Ended(TypedDict):
    epoch: int
    loss: float
    step: int


class EpochRecord(_Ended, total=False):
    """An entry of a training's history; scores where the epoch was evaluated."""

    lr: float
    miou: float
    iou: dict[str, float | None]
    seconds_steps: float
    seconds_eval: float


# A group of the table of missing weights; `class` is no name that a class could hold.
Group = TypedDict(
    "Group", {"class": str, "size": str, "pixels": int, "images": int, "missing": dict[str, float]}
)


class Attention(TypedDict):
    """The table of missing weights, as `rws.method.missing_weights` makes it."""

    images: int
    groups: list[Group]


@dataclass(frozen=True)
class CycleRecord:
    """What the steps of one cycle found; None where a step was left out, or has not been taken yet.

    Args:
        cycle: its number, from 0.
        seconds: wall clock by step, and by the names in INSIDE.
        images: number of training images.
        whole: the history of the training on whole images, one entry an epoch.
        whole_images: images that this training took forward and backward.
        fused_share: share of the fused positions by stage, of the bank that this training used.
        plain: history of the plain network's training; plain_images: images that it took.
        weak_slices: weak ones among the `windows` that were judged; kept_slices: those that are trained on.
        missing_weight: mean missing weight by stage; attention: the same by class and size of the object.
        taught: photographs without labels that the network saw to teach the next training.
        slice_images: images that the training on slices took; slice_loss: its last loss.
    """

    cycle: int
    seconds: dict[str, float] = field(default_factory=dict)
    images: int = 0
    whole: list[EpochRecord] = field(default_factory=list)
    whole_images: int = 0
    fused_share: dict[str, float] | None = None
    plain: list[EpochRecord] | None = None
    plain_images: int | None = None
    weak_slices: int | None = None
    windows: int | None = None
    kept_slices: int | None = None
    missing_weight: dict[str, float] | None = None
    attention: Attention | None = None
    slice_images: int | None = None
    slice_loss: float | None = None
    taught: int | None = None

    @property
    def images_seen(self) -> int:
        """Images that RWS took forward and backward in this cycle, slices included."""
        return self.whole_images + (self.slice_images or 0)

    @property
    def mean_fused_share(self) -> float | None:
        """The mean of `fused_share` over the stages; None without fusion."""
        share = self.fused_share
        return sum(share.values()) / len(share) if share else None

    def with_step(self, step: str, part: Part, elapsed: float) -> "CycleRecord":
        """The record with the part that a step gave after `elapsed` seconds in this process.

        Raises: TypeError for a field that a record does not have.
        """
        seconds = {**self.seconds, step: round(elapsed + part.spent.before, 2)}
        for name, more in zip(INSIDE, (part.spent.steps, part.spent.evaluation)):
            seconds[name] = round(seconds.get(name, 0.0) + more, 2)
        return replace(self, seconds=seconds, **part.found)

    def to_dict(self) -> dict:
        """Plain containers, without what is None."""
        values = {each.name: getattr(self, each.name) for each in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    @classmethod
    def from_dict(cls, stored: dict) -> "CycleRecord":
        """The record that `to_dict` made; one from before a field was there lacks it.

        Raises: ValueError for anything else.
        """
        _require(stored, cls)
        return cls(**{each.name: stored[each.name] for each in fields(cls) if each.name in stored})


def _require(stored: object, kind: type) -> None:
    if wrong := misfit(stored, kind):
        raise ValueError(wrong)


def new_record(cycle: int) -> CycleRecord:
    """The record of a cycle that begins."""
    return CycleRecord(cycle, seconds=dict.fromkeys(INSIDE, 0.0))


@dataclass(frozen=True)
class RunState:
    """Where a run stands: the step that comes next, the records so far, and why it stopped, if it has."""

    step: str = "whole"
    cycle: int = 0
    cycles: tuple[CycleRecord, ...] = ()
    stopped: str | None = None

    def to_dict(self) -> dict:
        """Plain containers."""
        cycles = [record.to_dict() for record in self.cycles]
        return {"step": self.step, "cycle": self.cycle, "cycles": cycles, "stopped": self.stopped}

    @classmethod
    def from_dict(cls, stored: dict) -> "RunState":
        """The state that `to_dict` made.

        Raises: ValueError for anything else.
        """
        _require(stored, cls)
        if lacking := [each.name for each in fields(cls) if each.name not in stored]:
            raise ValueError(f"it lacks {lacking[0]}")
        cycles = tuple(map(CycleRecord.from_dict, stored["cycles"]))
        state = cls(stored["step"], stored["cycle"], cycles, stored["stopped"])
        begun = len(cycles) - (state.step != next(iter(STEPS)))
        if state.step not in STEPS or state.cycle != begun or any(c.cycle != k for k, c in enumerate(cycles)):
            raise ValueError(f"step {state.step!r} of cycle {state.cycle} after {len(cycles)} cycles")
        return state
