"""--check-data: look at both splits of a set on all cores, say what they hold, and draw some of them."""

from dataclasses import replace
from pathlib import Path

from rws.config import Config
from rws.cycle.setup import check_pipeline
from rws.data import Split, require_official
from rws.data.check import pool_for, scan_splits
from rws.data.split_report import SplitReport, describe
from rws.data.unlabelled import check_photographs
from rws.errors import UserError
from rws.look.suggestions import suggestions
from rws.look.viz import samples_figure
from rws.runs.checkpoint import write_result
from rws.runs.splits import open_all
from rws.runtime.bars import say, tracked
from rws.runtime.files import save_picture
from rws.runtime.loading import told

SAMPLES = 8


def check_data(config: Config) -> None:
    """Prints what the training and the validation split hold, every kind of fault, and what to try.

    Writes samples_train.png, samples_val.png and report.json into <runs>/check_data/<set>.

    Raises: UserError with the first fault.
    """
    *splits, photographs = open_all(replace(config.data, partial=True))
    folder = _folder(config, splits[0])
    check_pipeline(config.data, splits[0])
    with told(), pool_for(sum(map(len, splits))) as pool:
        reports, faults = scan_splits(*splits, pool, allow_leak=config.data.allow_leak)
    faults = [*(fault for split in splits for fault in _not_whole(config, split)), *faults]
    if photographs is not None:
        faults += _of_photographs(config, photographs, splits[1])
    for split, report in zip(splits, reports):
        say(*describe(split, report).split("\n"))
        _draw(split, report, folder / f"samples_{split.split}.png")
    write_result(folder / "report.json", _record(config, splits, reports, faults))
    say(f"samples and report: {folder}")
    if faults:
        say(*(f"fault: {fault}" for fault in faults))
        raise UserError(faults[0])
    say(*(f"suggestion: {line}" for line in suggestions(config.data, splits[0].classes.names, *reports)))


def _folder(config: Config, split: Split) -> Path:
    folder = Path(config.runs) / "check_data" / config.data.name
    if folder.resolve().is_relative_to(split.root.resolve()):
        raise UserError(
            f"runs {config.runs}: lies inside the data root, where nothing is written; change --runs"
        )
    return folder


def _not_whole(config: Config, split: Split) -> list[str]:
    if config.data.partial:
        return []
    try:
        require_official(split)
    except UserError as error:
        return [str(error)]
    return []


def _of_photographs(config: Config, photographs: Split, val: Split) -> list[str]:
    try:
        check_photographs(photographs, val, allow_leak=config.data.allow_leak)
    except UserError as error:
        return [str(error)]
    say(f"{len(photographs)} photographs without labels")
    return []


def _draw(split: Split, report: SplitReport, path: Path) -> None:
    """Some images without fault, spread over the list, with their labels drawn in."""
    count = min(SAMPLES, len(report.good))
    if not count:
        return
    ids = [report.good[k * len(report.good) // count] for k in range(count)]
    samples = [(i, split.image(i), split.label(i)) for i in tracked(ids, "draw", leave=False)]
    save_picture(samples_figure(samples, split.classes, f"{split.split} of {split.root}"), path)


def _record(
    config: Config, splits: tuple[Split, Split], reports: list[SplitReport], faults: list[str]
) -> dict:
    """What was found, as JSON."""
    found = {
        split.split: {
            "images": report.images,
            "pixels": dict(zip(split.classes.names, report.pixels.tolist())),
            "images_holding": dict(zip(split.classes.names, report.holding.tolist())),
            "ignored_pixels": report.ignored_pixels,
            "sizes": {f"{h}x{w}": count for (h, w), count in report.sizes.most_common()},
            "image_modes": dict(report.image_modes),
            "label_modes": dict(report.label_modes),
            "notes": report.notes,
        }
        for split, report in zip(splits, reports)
    }
    return {"name": config.data.name, "root": str(splits[0].root), "splits": found, "faults": faults}
