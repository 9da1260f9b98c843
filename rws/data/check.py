"""Looks at every image and label of a split, so that a fault shows before the training, not within."""

import os
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rws.data.classes import ClassSet
from rws.data.voc import IMAGES, LABEL_MODES, LABELS, VocLayout, read_header, read_label
from rws.errors import UserError

_NAMED = 5  # ids an error names before it only counts


class Fault(IntEnum):
    """The faults in the order in which they are told."""

    NO_IMAGE = 0
    NO_LABEL = 1
    IMAGE_DAMAGED = 2
    LABEL_DAMAGED = 3
    SIZE = 4
    LABEL_MODE = 5
    LABEL_VALUE = 6


_TEXT = {
    Fault.NO_IMAGE: f"without image in {IMAGES} (.jpg, .jpeg, .png); add them or take the ids from the list",
    Fault.NO_LABEL: f"without label in {LABELS} (.png); add them or take the ids from the list",
    Fault.IMAGE_DAMAGED: "with an image that cannot be decoded; replace these files",
    Fault.LABEL_DAMAGED: "with a label that cannot be decoded; replace these files",
    Fault.SIZE: "with a label of another size than its image (height x width); make the sizes agree",
    Fault.LABEL_MODE: "with a label in colours; labels must hold class indices, mode P or L: map the colours",
    Fault.LABEL_VALUE: "with label values outside the {values}; correct them or choose the right data set",
}


@dataclass
class SplitReport:
    """What a split holds: pixels of each of its classes, and in `sizes` images of each (height, width).

    Shape: pixels (classes,) int64.
    """

    images: int
    pixels: np.ndarray
    ignored_pixels: int = 0
    sizes: Counter = field(default_factory=Counter)


@dataclass
class _Good:
    """An image without fault: its size and how often each of the 256 label values occurs."""

    size: tuple[int, int]
    counts: np.ndarray


def check_split(split: VocLayout, *, threads: int | None = None, progress: bool = True) -> SplitReport:
    """Decodes every image and label of a split and counts its pixels.

    Raises: UserError for the first kind of `Fault` that occurs, with its first five ids and their number.
    """
    faults: dict[Fault, list[str]] = defaultdict(list)
    counts, sizes = np.zeros(256, np.int64), Counter()
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        results = pool.map(lambda image_id: _inspect(split, image_id), split.ids)
        for result in tqdm(results, f"check {split.split}", len(split), leave=False, disable=not progress):
            if isinstance(result, _Good):
                counts += result.counts
                sizes[result.size] += 1
            else:
                faults[result[0]].append(result[1])
    if faults:
        raise UserError(_message(split, *min(faults.items())))
    classes = split.classes
    return SplitReport(len(split), counts[: classes.num_classes], int(counts[classes.ignore_index]), sizes)


def describe(split: VocLayout, report: SplitReport) -> str:
    """The report in words: images, sizes, and the share of labelled pixels of each class."""
    sizes = ", ".join(f"{h}x{w} ({count})" for (h, w), count in report.sizes.most_common(4))
    more = f" and {len(report.sizes) - 4} more sizes" if len(report.sizes) > 4 else ""
    total = max(int(report.pixels.sum()), 1)
    ignored = report.ignored_pixels / max(total + report.ignored_pixels, 1)
    lines = [f"{split.split}: {report.images} images, height x width {sizes}{more}; {ignored:.1%} ignored"]
    shares = zip(split.classes.names, report.pixels / total)
    return "\n".join(lines + [f"  {name:<16}{share:8.2%}" for name, share in shares])


def _inspect(split: VocLayout, image_id: str) -> _Good | tuple[Fault, str]:
    image_path, label_path = split.find_image(image_id), split.label_path(image_id)
    if image_path is None:
        return Fault.NO_IMAGE, image_id
    if not label_path.is_file():
        return Fault.NO_LABEL, image_id
    try:
        image = split.image(image_id)
    except UserError:
        return Fault.IMAGE_DAMAGED, image_path.name
    return _inspect_label(split, label_path, (image.height, image.width))


def _inspect_label(split: VocLayout, path: Path, image_size: tuple[int, int]) -> _Good | tuple[Fault, str]:
    try:
        size, mode = read_header(path)
        if size != image_size:
            text = "image {}x{}, label {}x{}".format(*image_size, *size)
            return Fault.SIZE, f"{path.stem} ({text})"
        if mode not in LABEL_MODES:
            return Fault.LABEL_MODE, f"{path.name} ({mode})"
        raw = read_label(path)
    except UserError:
        return Fault.LABEL_DAMAGED, path.name
    wrong = _values_outside(raw, split.source_classes)
    if wrong:
        return Fault.LABEL_VALUE, f"{path.name} ({', '.join(map(str, wrong))})"
    return _Good(image_size, np.bincount(split.map_label(raw).ravel(), minlength=256))


def _values_outside(raw: np.ndarray, classes: ClassSet) -> list[int]:
    present = np.flatnonzero(np.bincount(raw.ravel(), minlength=256)).tolist()
    return [value for value in present if value >= classes.num_classes and value != classes.ignore_index]


def _message(split: VocLayout, fault: Fault, found: list[str]) -> str:
    classes = split.source_classes
    values = f"classes 0..{classes.num_classes - 1} and {classes.ignore_index}"
    named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    what, way_out = _TEXT[fault].format(values=values).split("; ", 1)
    return f"{split.root}: {len(found)} of {len(split)} ids of {split.split} {what}: {named}; {way_out}"
