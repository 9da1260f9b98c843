"""Looks at every image and label of a split, so that a fault shows before the training, not within."""

import hashlib
import os
from collections import Counter, defaultdict
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass, field
from enum import IntEnum
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
from tqdm import tqdm

from rws.data.classes import UNKNOWN
from rws.data.files import ColourError, LabelModeError, read_header
from rws.data.split import Split, describe_values
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
    Fault.NO_IMAGE: "without image in {images} (.jpg, .jpeg, .png); add them or take the ids from the list",
    Fault.NO_LABEL: "without label in {labels} ({endings}); add them or take the ids from the list",
    Fault.IMAGE_DAMAGED: "with an image that cannot be decoded; replace these files",
    Fault.LABEL_DAMAGED: "with a label that cannot be decoded; replace these files",
    Fault.SIZE: "with a label of another size than its image (height x width); make the sizes agree",
    Fault.LABEL_MODE: "with a label in colours; labels must hold class indices, mode P or L: map the colours "
    "(--data.convert-rgb-labels does)",
    Fault.LABEL_VALUE: "with label values outside the {values}; correct them or choose the right data set",
}


@dataclass
class SplitReport:
    """What a split holds: pixels of each of its classes, images that hold it, and images of each kind.

    sizes: images of each (height, width); image_modes, label_modes: of each of Pillow's modes.
    good: the ids without fault. digests: of each good image's bytes, where they were asked for.

    Shape: pixels, holding (classes,) int64.
    """

    images: int
    pixels: np.ndarray
    ignored_pixels: int = 0
    sizes: Counter = field(default_factory=Counter)
    holding: np.ndarray | None = None
    image_modes: Counter = field(default_factory=Counter)
    label_modes: Counter = field(default_factory=Counter)
    good: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)


@dataclass
class _Good:
    """An image without fault: its size, modes, and how often each of the 256 label values occurs."""

    size: tuple[int, int]
    modes: tuple[str, str]
    counts: np.ndarray
    digest: str | None


def scan_split(
    split: Split, pool: Executor, *, digests: bool = False, progress: bool = True
) -> tuple[SplitReport, list[str]]:
    """Decodes every image and label of a split and counts its pixels; what was found, and each kind of fault.

    A fault is one line with the first five ids and their number.
    """
    faults: dict[Fault, list[str]] = defaultdict(list)
    classes = split.classes
    report = SplitReport(len(split), np.zeros(classes.num_classes, np.int64))
    report.holding = np.zeros(classes.num_classes, np.int64)
    results = pool.map(partial(_inspect, split, digests), split.ids, chunksize=8)
    bar = tqdm(results, f"check {split.split}", len(split), leave=False, disable=not progress)
    for image_id, result in zip(split.ids, bar):
        if isinstance(result, _Good):
            _add(report, image_id, result, classes.ignore_index)
        else:
            faults[result[0]].append(result[1])
    lines = [_message(split, fault, found) for fault, found in sorted(faults.items())]
    return report, lines or _two_valued(split, report)


def check_split(split: Split, *, threads: int | None = None, progress: bool = True) -> SplitReport:
    """As `scan_split`, with threads.

    Raises: UserError for the first kind of `Fault` that occurs.
    """
    with ThreadPoolExecutor(threads or min(8, os.cpu_count() or 1)) as pool:
        report, faults = scan_split(split, pool, progress=progress)
    if faults:
        raise UserError(faults[0])
    return report


def all_cores() -> Executor:
    """A pool of as many processes as there are cores."""
    return ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn"))


def _add(report: SplitReport, image_id: str, found: _Good, ignore_index: int) -> None:
    counts = found.counts[: len(report.pixels)]
    report.pixels += counts
    report.holding += counts > 0
    report.ignored_pixels += int(found.counts[ignore_index])
    report.sizes[found.size] += 1
    report.image_modes[found.modes[0]] += 1
    report.label_modes[found.modes[1]] += 1
    report.good.append(image_id)
    if found.digest is not None:
        report.digests[image_id] = found.digest


def describe(split: Split, report: SplitReport) -> str:
    """The report in words: images, sizes, and for each class its share of the labelled pixels."""
    official = split.official
    published = "" if official is None else f" ({official.published:,} {official.of} published)"
    total = max(int(report.pixels.sum()), 1)
    ignored = report.ignored_pixels / max(total + report.ignored_pixels, 1)
    sizes = ", ".join(f"{h}x{w} ({count})" for (h, w), count in report.sizes.most_common(4))
    more = f" and {len(report.sizes) - 4} more sizes" if len(report.sizes) > 4 else ""
    counted = f"{split.split}: {report.images} images{published}"
    first = f"{counted}, height x width {sizes}{more}; {ignored:.1%} ignored"
    modes = (report.image_modes, report.label_modes)
    kinds = (", ".join(f"{mode} ({count})" for mode, count in found.most_common()) for found in modes)
    lines = [first, "  modes: images {}; labels {}".format(*kinds)]
    width = max(16, *(len(name) + 1 for name in split.classes.names))
    rows = zip(split.classes.names, report.pixels, report.holding)
    return "\n".join(
        [
            *lines,
            *(f"  {name:<{width}}{n / total:8.2%}{n:>16,} pixels in {k:,} images" for name, n, k in rows),
        ]
    )


def duplicates(one: SplitReport, other: SplitReport) -> list[tuple[str, str]]:
    """Pairs of ids of two splits whose image files hold the same bytes."""
    ids = {digest: image_id for image_id, digest in one.digests.items()}
    return [(ids[digest], image_id) for image_id, digest in other.digests.items() if digest in ids]


def _inspect(split: Split, digests: bool, image_id: str) -> _Good | tuple[Fault, str]:
    image_path, label_path = split.find_image(image_id), split.label_path(image_id)
    if image_path is None:
        return Fault.NO_IMAGE, image_id
    if not label_path.is_file():
        return Fault.NO_LABEL, image_id
    try:
        image = split.image(image_id)
        mode = read_header(image_path)[1]
        digest = hashlib.blake2b(image_path.read_bytes(), digest_size=16).hexdigest() if digests else None
    except UserError:
        return Fault.IMAGE_DAMAGED, image_path.name
    found = _inspect_label(split, image_id, label_path, (image.height, image.width))
    if isinstance(found, tuple):
        return found
    label_mode = "MATLAB" if label_path.suffix == ".mat" else read_header(label_path)[1]
    return _Good((image.height, image.width), (mode, label_mode), found, digest)


def _inspect_label(
    split: Split, image_id: str, path: Path, image_size: tuple[int, int]
) -> np.ndarray | tuple[Fault, str]:
    """How often each value occurs in the label, in the numbers of the split's classes."""
    try:
        raw = split.raw_label(image_id)
    except LabelModeError:
        return Fault.LABEL_MODE, f"{path.name} ({read_header(path)[1]})"
    except ColourError as error:
        return Fault.LABEL_VALUE, f"{path.name} ({str(error).split(': ', 1)[1].split(' is no')[0]})"
    except UserError:
        return Fault.LABEL_DAMAGED, path.name
    if raw.shape != image_size:
        text = "image {}x{}, label {}x{}".format(*image_size, *raw.shape)
        return Fault.SIZE, f"{path.stem} ({text})"
    counts = np.bincount(split.map_label(raw).ravel(), minlength=256)
    if counts[UNKNOWN]:
        values = np.unique(raw[split.map_label(raw) == UNKNOWN]).tolist()
        return Fault.LABEL_VALUE, f"{path.name} ({', '.join(map(str, values))})"
    return counts


def _two_valued(split: Split, report: SplitReport) -> list[str]:
    """The fault of masks that hold 0 and 255: all of the object is ignored then."""
    classes, (first, *others) = split.classes, report.pixels.tolist()
    plain = split.category is None and classes.in_files[0] == 0 and classes.void_in_files == (255,)
    if not plain or any(others) or not (first and report.ignored_pixels):
        return []
    return [
        f"{split.root}: the labels of {split.split} hold 0 and 255 only, and 255 counts nowhere; write 1 for "
        "the class (or its own number) instead"
    ]


def _message(split: Split, fault: Fault, found: list[str]) -> str:
    places = split.places
    words = {
        "images": places.images,
        "labels": places.labels,
        "endings": ", ".join(places.label_endings),
        "values": describe_values(split.source_classes),
    }
    named = ", ".join(found[:_NAMED]) + (", ..." if len(found) > _NAMED else "")
    what, way_out = _TEXT[fault].format(**words).split("; ", 1)
    return f"{split.root}: {len(found)} of {len(split)} ids of {split.split} {what}: {named}; {way_out}"
