"""Looks at every image and label of a split, so that a fault shows before the training, not within."""

import os
from collections import defaultdict
from collections.abc import Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context

import numpy as np

from rws.data.classes import UNKNOWN
from rws.data.files import SUFFIXES, Header, read_header
from rws.data.label_doubts import Palettes, TwoValued
from rws.data.label_files import drawn_on
from rws.data.leaks import refuse_leaks
from rws.data.lookup import seen_instead
from rws.data.opening import UNREAD, FileError
from rws.data.split import Split, describe_values
from rws.data.split_report import Good, SplitReport, describe
from rws.errors import UserError
from rws.runtime.bars import say, tracked
from rws.runtime.distributed import is_first

__all__ = ["SplitReport", "check_split", "check_splits", "describe", "pool_for", "scan_split", "scan_splits"]

_NAMED = 5  # ids an error names before it only counts
WORTH_PROCESSES = 2000  # images: for fewer, to start further processes takes longer than they save


@dataclass(frozen=True, order=True)
class Fault:
    """A kind of fault: its place in the order in which they are told, what the ids have, and the way out."""

    order: int
    what: str
    way_out: str


NO_IMAGE = Fault(0, "without image in {images} ({suffixes})", "add them or take the ids from the list")
NO_LABEL = Fault(1, "without label in {labels} ({endings})", "add them or take the ids from the list")
_IMAGE, _LABEL = 2, 4  # the places of what is wrong with one file
SIZE = Fault(3, "with a label of another size than its image (height x width)", "make the sizes agree")
VALUE = Fault(5, "with label values outside the {values}", "correct them or choose the right data set")


@dataclass
class Scan:
    """What was found in a split: the report, the doubts about its labels, and what is wrong."""

    report: SplitReport
    palettes: Palettes
    faults: list[str]


def scan_split(split: Split, pool: Executor, *, progress: bool = True) -> Scan:
    """Decodes every image and label of a split and counts its pixels.

    A fault is one line with the first five ids and their number.
    """
    wrong: dict[Fault, list[tuple[str, str]]] = defaultdict(list)
    report, two_valued, palettes = SplitReport.of(split), TwoValued(split), Palettes(split)
    results = pool.map(partial(_inspect, split), split.ids, chunksize=8)
    bar = tracked(results, f"check {split.split}", len(split), leave=False, disable=not progress)
    for image_id, result in zip(split.ids, bar):
        if isinstance(result, Good):
            report.add(image_id, result, split.classes, split.table)
            two_valued.add(result.label_name, result.counts)
            palettes.add(result.label_name, result.label, result.counts)
        else:
            wrong[result[0]].append((image_id, result[1]))
    report.finish(split)
    report.notes += [*two_valued.notes(), *palettes.notes()]
    faults = [_message(split, fault, found) for fault, found in sorted(wrong.items())]
    return Scan(
        report, palettes, faults or [*two_valued.faults(), *palettes.faults(), *report.without_object(split)]
    )


def scan_splits(
    train: Split, val: Split, pool: Executor, *, allow_leak: bool = False, progress: bool = True
) -> tuple[list[SplitReport], list[str]]:
    """Both splits of a run, what was found in each, and all that a training refuses."""
    scans = [scan_split(split, pool, progress=progress) for split in (train, val)]
    faults = [fault for scan in scans for fault in scan.faults]
    if not any(scan.palettes.faults() for scan in scans):
        scans[0].palettes.compare(scans[1].palettes)
        faults += scans[0].palettes.faults()
    if not allow_leak:
        faults += _said(refuse_leaks, train, val)
    return [scan.report for scan in scans], faults


def _said(check, *splits: Split) -> list[str]:
    try:
        check(*splits)
    except UserError as error:
        return [str(error)]
    return []


def check_splits(train: Split, val: Split, *, allow_leak: bool = False, progress: bool = True) -> None:
    """Both splits of a run, with threads; prints what should be known of them.

    Raises: UserError for the first fault.
    """
    with _threads() as pool:
        reports, faults = scan_splits(train, val, pool, allow_leak=allow_leak, progress=progress)
    if faults:
        raise UserError(faults[0])
    for split, report in zip((train, val), reports):
        for note in report.notes if is_first() else ():
            say(f"note: {split.split}: {note}")


def check_split(split: Split, *, threads: int | None = None, progress: bool = True) -> SplitReport:
    """As `scan_split`, with threads.

    Raises: UserError for the first fault.
    """
    with _threads(threads) as pool:
        scan = scan_split(split, pool, progress=progress)
    if scan.faults:
        raise UserError(scan.faults[0])
    return scan.report


def _threads(count: int | None = None) -> Executor:
    return ThreadPoolExecutor(count or min(8, os.cpu_count() or 1))


def pool_for(images: int) -> Executor:
    """A pool that looks at so many images: every core's own process where that is worth their start.

    A process loads this package anew: about six seconds, in which threads look at a thousand images.
    """
    if images < WORTH_PROCESSES:
        return _threads()
    return ProcessPoolExecutor(os.cpu_count() or 1, mp_context=get_context("spawn"))


def _inspect(split: Split, image_id: str) -> Good | tuple[Fault, str]:
    """One image with its label, or its fault with what is to be told of it."""
    image_path, label_path = split.find_image(image_id), split.label_path(image_id)
    if image_path is None:
        return NO_IMAGE, ""
    if not label_path.is_file():
        return NO_LABEL, ""
    try:
        height, width = split.image(image_id).size[::-1]
        header = read_header(image_path)
    except FileError as error:
        return _fault(_IMAGE, error), image_path.name + error.in_brackets
    try:
        raw = split.raw_label(image_id, header)
        label = None if label_path.suffix.lower() == ".mat" else read_header(label_path)
    except FileError as error:
        return _fault(_LABEL, error), label_path.name + error.in_brackets
    if raw.shape != (height, width):
        return SIZE, f"{label_path.stem} (image {height}x{width}, label {raw.shape[0]}x{raw.shape[1]})"
    return _counted(split, header, label, raw, label_path.name)


def _counted(
    split: Split, image: Header, label: Header | None, raw: np.ndarray, name: str
) -> Good | tuple[Fault, str]:
    counts = np.bincount(raw.ravel(), minlength=256)
    unknown = np.flatnonzero(counts.astype(bool) & (split.table == UNKNOWN))
    if len(unknown):
        return VALUE, f"{name} ({', '.join(map(str, unknown))})"
    stored = raw.shape if label is None else label.size
    on = drawn_on(stored, image, split.reading.orientation) if image.orientation > 1 else None
    return Good(image, label, name, on, counts)


def _fault(order: int, error: FileError) -> Fault:
    return Fault(order, f"with {error.what}", error.way_out)


def _message(split: Split, fault: Fault, found: Sequence[tuple[str, str]]) -> str:
    """One line on all ids with a fault."""
    places = split.places
    words = {
        "images": places.images,
        "labels": places.labels,
        "suffixes": ", ".join(SUFFIXES),
        "endings": ", ".join(places.label_endings),
        "values": describe_values(split.source_classes),
    }
    named = [said or _missing(split, fault, image_id) for image_id, said in found[:_NAMED]]
    unread = {NO_IMAGE: UNREAD, NO_LABEL: (*UNREAD, ".webp")}.get(fault, ())
    read = "PNG or JPEG, which are" if fault == NO_IMAGE else "PNG, which is"
    there = any(ending in said.lower() for said in named for ending in unread)
    way_out = f"convert these files to {read} read" if there else fault.way_out
    more = ", ..." if len(found) > _NAMED else ""
    what = fault.what.format(**words) if fault in (NO_IMAGE, NO_LABEL, VALUE) else fault.what
    ids = f"{len(found)} of {len(split)} ids of {split.split}"
    return f"{split.root}: {ids} {what}: {', '.join(named)}{more}; {way_out}"


def _missing(split: Split, fault: Fault, image_id: str) -> str:
    """An id without file, and what is there in its place."""
    places, stem = split.places, split.stem(image_id)
    if fault is NO_IMAGE:
        seen = seen_instead(split.root / places.images, f"{stem}{places.image_end}", SUFFIXES)
    else:
        seen = seen_instead(split.root / places.labels, f"{stem}{places.label_end}", places.label_endings)
    return f"{image_id} ({seen})" if seen else image_id
