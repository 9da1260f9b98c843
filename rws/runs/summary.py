"""A run in numbers, and its last line."""

from collections.abc import Sequence
from typing import TypedDict

from rws.runs.record import CycleRecord


class Scores(TypedDict):
    """Of one evaluation, in percent."""

    miou: float
    iou: dict[str, float | None]


class Round(TypedDict):
    """The record of a round of SC-CAM."""

    round: int
    loss: float
    threshold: float
    train: Scores
    val: Scores


class OfRounds(TypedDict):
    """What readers of the summary of a run of SC-CAM go by; it holds more.

    last: scores of the last network by itself.
    """

    name: str
    seed: int
    rounds: list[Round]
    last: Scores


# What the summary holds of each cycle as its record has it.
_KEPT = (
    "images",
    "weak_slices",
    "kept_slices",
    "windows",
    "fused_share",
    "missing_weight",
    "attention",
    "seconds",
)


def _arm(histories: list[list[dict]], images: int) -> dict:
    """An arm's scores: at the end of its last training, and the best epoch by the same val set.

    Cycle 0, the training before RWS, counts as best only where it is the only one.
    """
    first = 1 if len(histories) > 1 else 0
    scored = [(c, r) for c, h in enumerate(histories) if c >= first for r in h if "miou" in r]
    best_cycle, best = max(scored, key=lambda item: item[1]["miou"])
    return {
        "miou": scored[-1][1]["miou"],
        "iou": scored[-1][1]["iou"],
        "best": {"miou": best["miou"], "cycle": best_cycle, "epoch": best["epoch"]},
        "images": images,
    }


def summarise(name: str, seed: int, stopped: str, cycles: Sequence[CycleRecord]) -> dict:
    """The run in numbers; mIoU and IoU in percent on val, at the end of each arm's last training.

    Without a plain arm, plain is the first training alone.
    """
    with_plain = all(c.plain for c in cycles)
    rws = _arm([c.whole for c in cycles], sum(c.images_seen for c in cycles))
    plain_images = sum(c.plain_images for c in cycles) if with_plain else cycles[0].whole_images
    plain = _arm([c.plain for c in cycles] if with_plain else [cycles[0].whole], plain_images)
    plain["miou_one_training"] = cycles[0].whole[-1]["miou"]
    return {
        "name": name,
        "seed": seed,
        "stopped": stopped,
        "plain": plain,
        "rws": rws,
        "delta_miou": rws["miou"] - plain["miou"],
        "cycles": [_of_cycle(c) for c in cycles],
    }


def _of_cycle(record: CycleRecord) -> dict:
    return {
        "cycle": record.cycle,
        **{name: getattr(record, name) for name in _KEPT},
        "miou": [r.get("miou") for r in record.whole],
        "plain_miou": [r.get("miou") for r in record.plain or []],
    }


def closing_line(summary: dict) -> str:
    """What a run has reached: its network, and where it has one the plain network of equal budget."""
    plain, rws = summary["plain"]["miou"], summary["rws"]["miou"]
    if len(summary["cycles"]) == 1:
        return f"mIoU {rws:.2f}"
    return f"mIoU {rws:.2f}, of plain training {plain:.2f}, difference {summary['delta_miou']:+.2f}"
