"""Weights of the classes in the cross-entropy, from how often each occurs in the training labels."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from pathlib import Path

import numpy as np

from rws.data import Split
from rws.errors import DamagedFile, UserError
from rws.runs import checkpoint
from rws.runtime.bars import say, tracked
from rws.runtime.distributed import barrier, is_first, of_first

_SHOWN = 12  # classes that the line names one by one


def median_frequency(pixels: np.ndarray, around: np.ndarray) -> np.ndarray:
    """The median of all frequencies over a class's own; 0 for a class without pixels.

    The frequency of a class is its share of the labelled pixels of the images that show it.

    Shape: pixels of each class (C,), labelled pixels of the images that show it (C,) -> (C,).
    Source: D. Eigen and R. Fergus, "Predicting Depth, Surface Normals and Semantic Labels", ICCV 2015.
    """
    occurs = pixels > 0
    frequency = pixels[occurs] / around[occurs]
    weights = np.zeros(len(pixels))
    weights[occurs] = np.median(frequency) / frequency
    return weights


def inverse_frequency(pixels: np.ndarray, around: np.ndarray) -> np.ndarray:
    """One over a class's share of all labelled pixels, over the number of classes; 0 without pixels.

    Each class then counts as much as any other in the sum over all training pixels.

    Shape: as `median_frequency`.
    """
    occurs = pixels > 0
    weights = np.zeros(len(pixels))
    weights[occurs] = pixels.sum() / (occurs.sum() * pixels[occurs])
    return weights


FROM_LABELS = {"median": median_frequency, "inverse": inverse_frequency}


def class_weights(asked: str | Sequence[float], split: Split, kept: Path) -> tuple[float, ...] | None:
    """The weights of a split's classes, which it says; None for none.

    kept: file that holds those from the labels, so that a resumed run counts nothing and has the same.
    """
    if asked == "none":
        return None
    if not isinstance(asked, str):
        return tuple(asked)
    weights = of_first(lambda: _kept(kept) or _counted(asked, split))
    checkpoint.write_json(kept, {"weights": weights})
    barrier()
    if is_first():
        say(f"class weights ({asked}): {_shown(split.classes.names, weights)}")
    return tuple(weights)


def check_class_weights(asked: str | Sequence[float], names: Sequence[str]) -> None:
    """Raises: UserError for another number of weights than of classes."""
    if not isinstance(asked, str) and len(asked) != len(names):
        raise UserError(
            f"train.class_weights: {len(asked)} numbers for {len(names)} classes; give one for each of "
            f"{', '.join(names)}"
        )


def _kept(path: Path) -> list[float] | None:
    try:
        return checkpoint.read_json(path, dict[str, list[float]])["weights"] if path.is_file() else None
    except DamagedFile as error:
        say(f"warning: {str(error).partition(';')[0]}; counted anew")
        return None


def _counted(asked: str, split: Split) -> list[float]:
    pixels, around = count_pixels(split)
    return [round(float(weight), 6) for weight in FROM_LABELS[asked](pixels, around)]


def count_pixels(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Of each class its pixels, and the labelled pixels of the images that show it.

    Shape: (C,), (C,) int64.
    """
    number = split.classes.num_classes
    pixels, around = np.zeros(number, np.int64), np.zeros(number, np.int64)

    def counts(image_id: str) -> np.ndarray:
        return np.bincount(split.label(image_id).ravel(), minlength=256)[:number]

    with ThreadPoolExecutor(min(8, cpu_count() or 1)) as pool:
        found = pool.map(counts, split.ids)
        for each in tracked(found, "class weights", len(split), leave=False):
            pixels += each
            around += (each > 0) * each.sum()
    return pixels, around


def _shown(names: Sequence[str], weights: Sequence[float]) -> str:
    """All weights, or where they are many the smallest and the largest."""
    pairs = list(zip(names, weights))
    if len(pairs) > _SHOWN:
        pairs = sorted(pairs, key=lambda pair: pair[1])
        pairs = [*pairs[:3], ("...", None), *pairs[-3:]]
    return ", ".join(name if weight is None else f"{name} {weight:.3g}" for name, weight in pairs)
