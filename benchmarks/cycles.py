"""cycle: the share of a run's wall clock that is neither an optimizer step nor evaluation.

A finished run's summary.json has the seconds of each step of each cycle. That gives a lower bound: scoring
and selection are outside; all of `whole`, `plain` and `slices` counts as inside, although loading networks,
starting the loader's processes and writing checkpoints are in there. The summary does not hold the seconds
of evaluation and of optimizer steps inside a training, nor those between the steps. Without a run, the demo
is run here with a clock around each optimizer step and each evaluation, and the share is exact.
"""

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from unittest import mock

from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples
from rws import loop
from rws.cli import parse
from rws.data.demo import generate
from rws.engine import Training
from rws.setup import prepare

OUTSIDE = ("score", "select")
TARGET = Target("at most", 0.15, "ours")
TINY = (
    "--train.epochs=1 --cycles.limit=1 --cycles.delta=0 --data.base_size=48 --data.crop_size=[48,64] "
    "--data.workers=0 --cycles.plain=false"
)


def _of_summary(folder: Path) -> Row:
    """The lower bound that a summary gives, of the whole run and without the plain arm."""
    cycles = json.loads((folder / "summary.json").read_text())["cycles"]
    seconds = [(step, s) for c in cycles for step, s in c["seconds"].items()]
    outside = sum(s for step, s in seconds if step in OUTSIDE)
    total = sum(s for _, s in seconds)
    rws_total = sum(s for step, s in seconds if step != "plain")
    figures = {step: round(sum(s for name, s in seconds if name == step), 2) for step in loop.STEPS}
    figures |= {"share_without_plain_arm": round(outside / rws_total, 4)}
    images = [c["images"] for c in cycles]
    sizes = {"run": folder.name, "training_images": images[0], "cycles": len(cycles)}
    note = "lower bound: score and select over all steps, loading and checkpoints inside trainings not seen"
    samples = Samples([outside / total], [])
    return make_row("cycle-summary", samples, TARGET, sizes, "share", figures=figures, note=note)


class _Clock:
    """Adds up the seconds spent in calls."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    def around(self, name: str, call: Callable) -> Callable:
        def timed(*args: object, **kwargs: object) -> object:
            start = time.perf_counter()
            result = call(*args, **kwargs)
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - start
            return result

        return timed


def _timed_run(flags: list[str]) -> tuple[_Clock, dict]:
    """Run a configuration with a clock around its optimizer steps, evaluations and everything."""
    clock = _Clock()
    step, evaluate = Training._one_step, loop.evaluate

    def run() -> dict:
        setup, _ = prepare(parse(flags)[0])
        return loop.Run(setup).run()

    with (
        mock.patch.object(Training, "_one_step", clock.around("optimizer steps", step)),
        mock.patch.object(loop, "evaluate", clock.around("evaluation", evaluate)),
    ):
        summary = clock.around("all", run)()
    return clock, summary


def _of_demo(context: Context) -> Row:
    """The exact share of a run of the demo configuration, starting up included."""
    with tempfile.TemporaryDirectory() as name:
        flags = ["--config", "configs/demo.yaml", f"--runs={name}", f"--device={context.device.type}"]
        flags += [f"--data.root={name}/data"] + (TINY.split() if context.tiny else [])
        generate(Path(name) / "data", **({"train": 16, "val": 4} if context.tiny else {}), progress=False)
        clock, summary = _timed_run(flags)
    inside = clock.seconds["optimizer steps"] + clock.seconds["evaluation"]
    share = 1 - inside / clock.seconds["all"]
    figures = {key: round(value, 2) for key, value in clock.seconds.items()}
    for step in loop.STEPS:
        figures[step] = round(sum(c["seconds"].get(step, 0) for c in summary["cycles"]), 2)
    sizes = {"config": "configs/demo.yaml", "cycles": len(summary["cycles"])}
    note = "exact; waiting for the loader counts as outside"
    return make_row("cycle-demo", Samples([share], []), TARGET, sizes, "share", figures=figures, note=note)


def cycle(context: Context) -> list[Row]:
    """The share outside training steps and evaluation, of the run given by --run or of the demo."""
    return [_of_summary(Path(context.run)) if context.run else _of_demo(context)]
