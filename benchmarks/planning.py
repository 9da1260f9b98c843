"""plan: what `rws plan` says of a run, against the run."""

import tempfile
import time
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from unittest.mock import patch

from benchmarks.cycles import TINY
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples
from rws.cli import parse
from rws.config import Config
from rws.cost.reckon import reckon
from rws.cost.trial import measure
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data.sets.demo import generate
from rws.runs.record import STEPS

IMAGES, VAL = 96, 24


def _config(context: Context, folder: Path) -> Config:
    flags = ["--config=demo", f"--data.root={folder / 'data'}", f"--runs={folder}", "--name=taken"]
    flags += [f"--device={context.device.type}", "--data.workers=0", "--cycles.delta=0"]
    return parse(flags + (TINY.split() if context.tiny else [])).config


def _taken(config: Config) -> dict[str, float]:
    """Seconds of a run by step."""
    setup, _ = prepare(config)
    cycles = Run(setup).run()["cycles"]
    return {step: sum(cycle["seconds"].get(step, 0.0) for cycle in cycles) for step in STEPS}


def plan(context: Context) -> list[Row]:
    """A run of the demo set with one cycle, planned and taken."""
    count = (16, 4) if context.tiny else (IMAGES, VAL)
    clock = patch("time.perf_counter", time.process_time) if context.cpu_time else nullcontext()
    with tempfile.TemporaryDirectory() as name, clock:
        config = _config(context, Path(name))
        generate(Path(name) / "data", train=count[0], val=count[1], progress=False)
        planned, taken = reckon(config, measure(replace(config, name="trial"))), _taken(config)
    off = abs(planned.total / sum(taken.values()) - 1)
    figures = {f"planned_{step}": round(value, 2) for step, value in planned.seconds.items()}
    figures |= {f"taken_{step}": round(value, 2) for step, value in taken.items()}
    sizes = {"config": "demo", "training_images": count[0], "cycles": config.cycles.limit}
    note = "how far the planned seconds are off those of the run"
    goal = Target("at most", 0.2, "ours")
    return [make_row("plan", Samples([off], []), goal, sizes, "share", figures=figures, note=note)]
