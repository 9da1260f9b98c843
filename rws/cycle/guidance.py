"""What the missing weights suggest: a row and one plain sentence for each stage, by fixed rules.

A group is a class in one size of its objects. The rules: a group counts when it has ENOUGH_PIXELS in
ENOUGH_IMAGES; values closer than SAME are equal; a stage's sentence names the groups that miss most, or says
that all are about equal, then how the first of them has changed since the first cycle, and the mean of all.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from rws.data.object_sizes import SIZES
from rws.method.missing_weights import mean_missing
from rws.runs.record import CycleRecord

ENOUGH_PIXELS, ENOUGH_IMAGES = 1000, 3
SAME = 0.02
NOTHING = 0.005
NAMED = 3  # groups that a sentence names when they miss equally


@dataclass(frozen=True)
class Row:
    """One stage: mean missing weights, first and last by cycle, the others of the last cycle.

    sizes: None where a size has too few pixels. worst: the class that misses most, and its mean; None where
    no class has enough pixels.
    """

    stage: str
    first: float
    last: float
    sizes: dict[str, float | None]
    worst: tuple[str, float] | None


@dataclass(frozen=True)
class Guidance:
    """Of the cycles that have a table of missing weights; empty where none has.

    cycles: their numbers. images, pixels, classes: how many the last table was made from.
    """

    cycles: tuple[int, ...]
    images: int
    pixels: int
    classes: int
    rows: tuple[Row, ...]
    sentences: tuple[str, ...]


def guidance(cycles: Sequence[CycleRecord], by: str = "fusion") -> Guidance:
    """Read the records of a run's cycles; `by` names what lay between them, as in "unchanged by fusion"."""
    held = [c for c in cycles if c.attention]
    if not held:
        return Guidance((), 0, 0, 0, (), ())
    first, last = held[0].attention["groups"], held[-1].attention["groups"]
    before = first if len(held) > 1 else None
    stages = list(last[0]["missing"]) if last else []
    rows = tuple(_row(stage, first, last) for stage in stages)
    sentences = [sentence(stage, last, before, by) for stage in stages]
    if len(stages) > 1:
        sentences.append(_overall(rows))
    counts = (
        held[-1].attention["images"],
        sum(g["pixels"] for g in last),
        len({g["class"] for g in last}),
    )
    return Guidance(tuple(c.cycle for c in held), *counts, rows, tuple(sentences))


def enough(groups: list[dict]) -> bool:
    """Whether some groups together have the pixels that a claim needs, in the images it needs.

    Objects of one class in two sizes may be in the same images, so the largest number of these counts.
    """
    pixels = sum(group["pixels"] for group in groups)
    return pixels >= ENOUGH_PIXELS and max(group["images"] for group in groups) >= ENOUGH_IMAGES


def _mean(groups: list[dict], stage: str) -> float | None:
    return mean_missing(groups, stage) if groups and enough(groups) else None


def _row(stage: str, first: list[dict], last: list[dict]) -> Row:
    sizes = {size: _mean([g for g in last if g["size"] == size], stage) for size in SIZES}
    return Row(stage, mean_missing(first, stage), mean_missing(last, stage), sizes, _worst(stage, last))


def by_class(groups: list[dict], stage: str) -> dict[str, float]:
    """The mean of each class that has enough pixels, the largest first."""
    names = dict.fromkeys(group["class"] for group in groups)
    means = {name: _mean([g for g in groups if g["class"] == name], stage) for name in names}
    known = {name: mean for name, mean in means.items() if mean is not None}
    return dict(sorted(known.items(), key=lambda item: -item[1]))


def _worst(stage: str, groups: list[dict]) -> tuple[str, float] | None:
    return next(iter(by_class(groups, stage).items()), None)


def sentence(stage: str, last: list[dict], first: list[dict] | None, by: str) -> str:
    """What a stage misses most, and how that has changed since the first cycle, where there is one before.

    `last` and `first` are the groups of two tables.
    """
    mean = mean_missing(last, stage)
    if mean < NOTHING:
        return f"{stage} misses nothing: no other stage attends more than it does."
    known = [group for group in last if enough([group])]
    if not known:
        few = f"no class and size has enough pixels ({ENOUGH_PIXELS} in {ENOUGH_IMAGES} images) to say where"
        return f"{stage} misses {mean:.2f} on average{_change(last, first, stage, by)}; {few}."
    several = len({group["class"] for group in last}) > 1
    known.sort(key=lambda group: -group["missing"][stage])
    top = [group for group in known if known[0]["missing"][stage] - group["missing"][stage] < SAME]
    if 1 < len(top) == len(known):
        what = "all classes and sizes" if several else "all sizes"
        change = _change(last, first, stage, by)
        return f"{stage} misses {what} about equally: {mean:.2f} missing weight{change}."
    # The change of the groups that miss most now leans upwards: beside it stands that of all pixels.
    value = f"{top[0]['missing'][stage]:.2f} missing weight{_change(top[:1], first, stage, by)}"
    average = f"on average {mean:.2f}{_change(last, first, stage)}"
    if len(known) == 1:
        only = f"{_name(top[0], several)}, the only group with enough pixels"
        return f"{stage} misses {only}: {value} ({average})."
    return f"{stage} misses {_listed(top, several)} most: {value} ({average})."


def _name(group: dict, with_class: bool) -> str:
    return f"{group['size']} regions" + (f" of {group['class']}" if with_class else "")


def _listed(groups: list[dict], with_class: bool) -> str:
    names = [_name(group, with_class) for group in groups]
    if len(names) > NAMED:
        names = [*names[:NAMED], f"{len(names) - NAMED} more"]
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def _change(groups: list[dict], first: list[dict] | None, stage: str, by: str | None = None) -> str:
    """How the mean over some groups has changed; nothing where the first cycle lacks one of them."""
    keys = {(group["class"], group["size"]) for group in groups}
    before = [group for group in first or () if (group["class"], group["size"]) in keys]
    if first is None or len(before) < len(keys):
        return ""
    old, new = mean_missing(before, stage), mean_missing(groups, stage)
    if abs(new - old) < SAME:
        return f", unchanged by {by}" if by else ", unchanged"
    return f", {'down' if new < old else 'up'} from {old:.2f}" + (f" before {by}" if by else "")


def _overall(rows: tuple[Row, ...]) -> str:
    most, least = max(rows, key=lambda row: row.last), min(rows, key=lambda row: row.last)
    if most.last - least.last < SAME:
        return f"All stages miss about equally: {most.last:.2f} on average."
    return (
        f"Of all stages {most.stage} misses most ({most.last:.2f} on average) and {least.stage} least "
        f"({least.last:.2f})."
    )


def text(found: Guidance, what: str = "training images") -> str:
    """A compact table and the sentences, for the console."""
    if not found.rows:
        return "no guidance: no missing weights were looked at"
    changed = len(found.cycles) > 1
    ends = [f"cycle {found.cycles[0]}", f"cycle {found.cycles[-1]}", "change"] if changed else ["missing"]
    several = found.classes > 1
    table = [["stage", *ends, *SIZES, *(["most missed class"] if several else [])]]
    for row in found.rows:
        means = [row.first, row.last] if changed else [row.last]
        cells = [f"{mean:.2f}" for mean in means] + ([f"{row.last - row.first:+.2f}"] if changed else [])
        cells += ["-" if row.sizes[size] is None else f"{row.sizes[size]:.2f}" for size in SIZES]
        worst = f"{row.worst[0]} {row.worst[1]:.2f}" if row.worst else "-"
        table.append([row.stage, *cells, *([worst] if several else [])])
    widths = [max(map(len, column)) for column in zip(*table)]
    named = {0, len(widths) - 1} if several else {0}
    lines = [
        "  ".join(c.ljust(w) if k in named else c.rjust(w) for k, (c, w) in enumerate(zip(cells, widths)))
        for cells in table
    ]
    head = (
        f"missing weight of each stage: mean over {found.pixels:,} foreground pixels of {found.images} {what}"
    )
    return "\n".join([head, *(f"  {line.rstrip()}" for line in lines), *found.sentences])
