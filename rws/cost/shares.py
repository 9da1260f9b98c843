"""The table of `rws bench cycle`: the seconds of each part of a cycle, and its share of the whole run."""

from collections.abc import Mapping

from rws.cost.parts import (
    AGAIN,
    AUGMENT,
    BANK,
    CHECKPOINTS,
    EVALUATION,
    FIND,
    MAPS,
    OF_TRAINING,
    READ,
    REPORT,
    SELECT,
    STEP,
    TRAINING,
    Measured,
)
from rws.cost.stopwatch import REST

ORDER = (
    STEP,
    EVALUATION,
    READ,
    AUGMENT,
    MAPS,
    FIND,
    SELECT,
    BANK,
    CHECKPOINTS,
    AGAIN,
    REPORT,
    TRAINING,
    REST,
)
MEANT = {
    EVALUATION: "without reading",
    AUGMENT: "cropping, resizing",
    MAPS: "heat maps, of images and slices",
    FIND: "windows, IoU, missing weights",
    SELECT: "the slices compete",
    BANK: "written and read",
    AGAIN: "at the end, of validation images",
    REPORT: "its pictures, without their maps",
    TRAINING: "networks built, loaders started",
    REST: "the data set opened, networks built",
}


def outside(seconds: Mapping[tuple[str, str], float]) -> float:
    """The share of a run that is neither a training's step, what it waits for included, nor evaluation."""
    within = {STEP, EVALUATION, READ, AUGMENT, BANK}
    inside = sum(s for (outer, inner), s in seconds.items() if outer in OF_TRAINING and inner in within)
    return 1 - inside / sum(seconds.values())


def by_part(seconds: Mapping[tuple[str, str], float]) -> dict[str, float]:
    """The seconds of each part of ORDER; the first training is one of the trainings."""
    named = [(TRAINING if inner in OF_TRAINING else inner, s) for (_, inner), s in seconds.items()]
    return {part: sum(s for inner, s in named if inner == part) for part in ORDER}


def lines(measured: Measured) -> list[str]:
    """The table: what was measured, what it makes of the whole run, and the shares of that."""
    whole = measured.whole_run()
    here, there = by_part(measured.seconds), by_part(whole)
    total = sum(there.values())
    rows = [f"  {'part':12}{'seconds':>9}{'whole run':>11}{'share':>8}"]
    for part, value in there.items():
        meant = f"  {MEANT[part]}" if part in MEANT else ""
        rows.append(f"  {part:12}{here[part]:9.1f}{value:11.0f}{100 * value / total:6.1f} %{meant}")
    rows.append(f"  {'all':12}{sum(here.values()):9.1f}{total:11.0f}")
    again = sum(s for (outer, _), s in whole.items() if outer == AGAIN) / total
    return [
        *rows,
        "outside steps and evaluation, and what these read: "
        f"{100 * outside(whole):.1f} % of the whole run, {100 * outside(measured.seconds):.1f} % of this one",
        f"  of the whole run looking again at validation images takes {100 * again:.1f} %",
    ]
