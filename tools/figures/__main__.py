"""Make every picture in Figs/ from two runs on the demo set: `python -m tools.figures`, or `make figures`.

runs/demo          rws train --config demo           all pictures but one
runs/demo_cycles   rws train --config demo_cycles    the curve over several cycles
"""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from rws.errors import UserError
from rws.look.cam_vis import stage_picture
from tools.figures.animation import prediction_frames
from tools.figures.before_after import before_after_figure
from tools.figures.canvas import rendered, write_gif, write_png
from tools.figures.convergence import convergence_figure
from tools.figures.flow import flow_figure, take_steps
from tools.figures.source import Source, open_run, use_one_thread

STAGES_IMAGE = "train_0068"
FRAME_MILLISECONDS = 2000


def _stages(source: Source, path: Path) -> None:
    looked, split = source.network("best.pt"), source.split("train")
    image_id = STAGES_IMAGE if STAGES_IMAGE in split.ids else split.ids[0]
    title = "Where each stage looks, and what it misses"
    write_png(stage_picture(looked.scored, split, looked.card, image_id, title), path)


def _flow(source: Source, path: Path) -> None:
    write_png(rendered(flow_figure(take_steps(source))), path)


def _before_after(source: Source, path: Path) -> None:
    write_png(rendered(before_after_figure(source)), path)


def _convergence(source: Source, path: Path) -> None:
    write_png(rendered(convergence_figure(source)), path)


def _predictions(source: Source, path: Path) -> None:
    write_gif(prediction_frames(source), path, FRAME_MILLISECONDS)


# Which run each picture is made from, and how.
PICTURES: dict[str, tuple[str, Callable[[Source, Path], None]]] = {
    "flow.png": ("demo", _flow),
    "stages.png": ("demo", _stages),
    "stages_before_after.png": ("demo", _before_after),
    "convergence.png": ("demo_cycles", _convergence),
    "predictions.gif": ("demo", _predictions),
}


def make(runs: Path, out: Path, names: list[str]) -> None:
    """Make the pictures of these names.

    Raises: UserError for a run that is missing or has not ended.
    """
    use_one_thread()
    sources = {run: open_run(runs / run) for run in {PICTURES[name][0] for name in names}}
    for name in names:
        run, draw = PICTURES[name]
        draw(sources[run], out / name)
        print(f"{out / name}: {(out / name).stat().st_size / 1000:.0f} kB")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m tools.figures",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--runs", type=Path, default=Path("runs"), help="folder of the runs (default: runs)")
    parser.add_argument("--out", type=Path, default=Path("Figs"), help="folder of pictures (default: Figs)")
    parser.add_argument("--only", nargs="+", choices=list(PICTURES), help="make these (default: all)")
    options = parser.parse_args(arguments)
    try:
        make(options.runs, options.out, options.only or list(PICTURES))
    except (UserError, OSError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
