"""Run benchmarks, print a table and write benchmarks/results/<machine>-<date>.json.

    python -m benchmarks.run                               all of them
    python -m benchmarks.run --only cam refine             some; the day's other rows stay in the file
    python -m benchmarks.run --only cycle --run runs/demo  from a finished run
    python -m benchmarks.run --tiny                        small sizes: tries the harness, measures nothing

`ratio` says how many times faster or smaller ours is than the peer; where the target is an "at most", how
many times the peer's cost ours is. A row is `ok` or `short` of its target. The exit code is 0 either way.
"""

import argparse
import json
import sys
import time
from pathlib import Path

import torch

from benchmarks.backends import film, predict_backend
from benchmarks.banks import bank
from benchmarks.cams import cam, cam_classes, cam_dilated, cam_last
from benchmarks.cycles import cycle
from benchmarks.loading import load
from benchmarks.loops import train_light
from benchmarks.machine import circumstances, file_stem, machine
from benchmarks.memory import memory
from benchmarks.planning import plan
from benchmarks.predicting import predict
from benchmarks.rows import Context, Row
from benchmarks.selecting import refine
from benchmarks.sets import copies, score_set
from benchmarks.starting import predict_one, start
from benchmarks.steps import step, step_online
from benchmarks.training import train
from benchmarks.ways import ways_rws
from rws.runs.checkpoint import write_result
from rws.runtime.allocator import keep_freed_memory
from rws.runtime.bars import say, tracked

BENCHMARKS = {
    "cam": cam,
    "cam-classes": cam_classes,
    "cam-last": cam_last,
    "cam-dilated": cam_dilated,
    "refine": refine,
    "bank": bank,
    "step": step,
    "step-online": step_online,
    "train": train,
    "train-light": train_light,
    "load": load,
    "cycle": cycle,
    "plan": plan,
    "memory": memory,
    "predict": predict,
    "start": start,
    "predict-one": predict_one,
    "predict-backend": predict_backend,
    "film": film,
    "ways-rws": ways_rws,
    "score-set": score_set,
    "copies": copies,
}
RESULTS = Path(__file__).parent / "results"
_LINE = "{:<20} {:>11} {:>11} {:>9}  {:<16} {:<5}"


def parse(argv: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--only", nargs="+", choices=BENCHMARKS, metavar="NAME", help=", ".join(BENCHMARKS))
    parser.add_argument("--device", default="cpu", choices=("cpu", "cuda"))
    parser.add_argument("--tiny", action="store_true", help="small sizes, which measure nothing")
    parser.add_argument("--repeats", type=int, default=5, help="pairs of the quick benchmarks (default: 5)")
    parser.add_argument("--run", help="folder of a finished run, for cycle and the fused shares of bank")
    parser.add_argument(
        "--cpu-time",
        action="store_true",
        help="of predict-backend, film, ways-rws and plan, on a machine in use",
    )
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder of the results")
    args = parser.parse_args(argv)
    if args.repeats < 1:
        parser.error(f"--repeats {args.repeats}: must be 1 or more")
    if args.run and not (Path(args.run) / "summary.json").is_file():
        parser.error(f"--run {args.run}: no summary.json there; the run must have finished")
    return args


def _amount(value: float | None, unit: str) -> str:
    """A median for the table."""
    if value is None:
        return "-"
    if unit == "bytes":
        return f"{value / 1e6:.1f} MB"
    if unit == "s":
        return f"{value:.2f} s" if value >= 1 else f"{1000 * value:.1f} ms"
    return f"{value:.3f}"


def _target(row: Row) -> str:
    if row.target is None or row.target.of == "ratio":
        return str(row.target or "-")
    return f"{row.target.direction} {_amount(row.target.value, row.unit)}"


def line(row: Row) -> str:
    """A row of the table."""
    ratio = "-" if row.ratio is None else f"{row.ratio:.2f}"
    verdict = {None: "-", True: "ok", False: "short"}[row.ok]
    amounts = _amount(row.ours, row.unit), _amount(row.peer, row.unit)
    return _LINE.format(row.name, *amounts, ratio, _target(row), verdict)


def result_path(context: Context, folder: Path) -> Path:
    tiny = "-tiny" if context.tiny else ""
    return folder / f"{file_stem(context.device)}-{time.strftime('%Y-%m-%d')}{tiny}.json"


def store(path: Path, context: Context, rows: list[Row], benchmark: str, around: dict) -> None:
    """Put the rows of a benchmark in the day's file, in place of its earlier ones; the others stay."""
    stored = json.loads(path.read_text()) if path.is_file() else {"rows": []}
    kept = [row for row in stored["rows"] if row["benchmark"] != benchmark]
    records = [{"benchmark": benchmark, **row.record(), "measured": around} for row in rows]
    order = list(BENCHMARKS)
    every = sorted(kept + records, key=lambda row: order.index(row["benchmark"]))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_result(path, {"machine": machine(context.device), "tiny": context.tiny, "rows": every})


def main(argv: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    args = parse(argv)
    keep_freed_memory()  # as every command does
    device = torch.device(args.device)
    context = Context(device, args.tiny, args.repeats, args.run, args.cpu_time)
    path, around = result_path(context, args.out), circumstances()
    print(_LINE.format("name", "ours", "peer", "ratio", "target", ""))
    for name in tracked(args.only or list(BENCHMARKS), unit="benchmark", leave=False):
        rows = BENCHMARKS[name](context)
        # Written after each, so that an interruption loses only the one that runs.
        store(path, context, rows, name, around)
        for row in rows:
            say(line(row))
    print(f"written: {path}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
