"""cycle: the share of a run's wall clock that is neither an optimizer step nor evaluation.

A run's summary.json has, for each cycle, the seconds of its steps and those that its trainings spent in
optimizer steps (waiting for the loader included) and in evaluation. What is left: scoring, selection, and
in the trainings building networks, starting the loader's processes and writing checkpoints. Without --run
the demo is run here, and what lies before and between its steps counts as outside too.
"""

import json
import tempfile
import time
from pathlib import Path

from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples
from rws.cli import parse
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data.sets.demo import generate
from rws.runs.record import INSIDE, STEPS

TRAININGS = ("whole", "plain", "slices")
TARGET = Target("at most", 0.15, "ours")
TINY = (
    "--train.epochs=1 --cycles.limit=1 --cycles.delta=0 --data.base_size=48 --data.crop_size=[48,64] "
    "--data.workers=0 --cycles.plain=false"
)


def breakdown(cycles: list[dict]) -> dict[str, float]:
    """Seconds of a run by step, of optimizer steps and evaluation, and of its trainings outside those.

    Raises: SystemExit for a run from before these were recorded.
    """
    if any(name not in c["seconds"] for c in cycles for name in INSIDE):
        raise SystemExit("error: this run's summary.json lacks the seconds of optimizer steps; run it again")
    names = (*STEPS, *INSIDE)
    seconds = {name: sum(c["seconds"].get(name, 0.0) for c in cycles) for name in names}
    trainings = sum(seconds[name] for name in TRAININGS)
    seconds["rest_of_trainings"] = trainings - sum(seconds[name] for name in INSIDE)
    return {name: round(value, 2) for name, value in seconds.items()}


def _row(name: str, seconds: dict[str, float], total: float, sizes: dict, note: str) -> Row:
    share = 1 - sum(seconds[name] for name in INSIDE) / total
    figures = {"total": round(total, 2), **seconds}
    return make_row(name, Samples([share], []), TARGET, sizes, "share", figures=figures, note=note)


def _of_summary(folder: Path) -> Row:
    """The share of a finished run, over all of its steps."""
    cycles = json.loads((folder / "summary.json").read_text())["cycles"]
    seconds = breakdown(cycles)
    total = sum(seconds[step] for step in STEPS)
    sizes = {"run": folder.name, "training_images": cycles[0]["images"], "cycles": len(cycles)}
    return _row("cycle-run", seconds, total, sizes, "seconds of all steps, without starting up")


def _of_demo(context: Context) -> Row:
    """The share of a run of the demo configuration, from the command line to the summary."""
    with tempfile.TemporaryDirectory() as name:
        flags = ["--config", "configs/demo.yaml", f"--runs={name}", f"--device={context.device.type}"]
        flags += [f"--data.root={name}/data"] + (TINY.split() if context.tiny else [])
        generate(Path(name) / "data", **({"train": 16, "val": 4} if context.tiny else {}), progress=False)
        start = time.perf_counter()
        setup, _ = prepare(parse(flags).config)
        cycles = Run(setup).run()["cycles"]
        total = time.perf_counter() - start
    sizes = {"config": "configs/demo.yaml", "cycles": len(cycles)}
    return _row("cycle-demo", breakdown(cycles), total, sizes, "starting up included")


def cycle(context: Context) -> list[Row]:
    """The share outside training steps and evaluation, of the run given by --run or of the demo."""
    return [_of_summary(Path(context.run)) if context.run else _of_demo(context)]
