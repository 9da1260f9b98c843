"""What a run says: the table on the console, log.jsonl, tensorboard scalars, env.json and summary.json."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import torch
import torchvision
from torch.utils.tensorboard import SummaryWriter

from rws.runs.record import STEPS, CycleRecord, training_key
from rws.runs.seals import opened, sealed
from rws.runtime.bars import say

_ROW = "{:>5}  {:>11}  {:>11}  {:>7}  {:>10}  {:>8}"
_HEAD = _ROW.format("cycle", "weak slices", "fused share", "mIoU", "plain mIoU", "diff")


def _commit() -> str | None:
    """The commit of this code, with a + when files differ from it; None outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout

    try:
        return git("rev-parse", "--short=12", "HEAD").strip() + ("+" if git("status", "--porcelain") else "")
    except (OSError, subprocess.CalledProcessError):
        return None


def _from_here(path: str) -> str:
    """A path below the working directory as seen from there: a record is read on other machines."""
    here = Path(path).absolute()
    return str(here.relative_to(Path.cwd())) if here.is_relative_to(Path.cwd()) else path


def environment(device: torch.device) -> dict:
    """Versions, machine and command line of a run."""
    cuda = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "command": [_from_here(sys.argv[0]), *sys.argv[1:]],
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "torchvision": torchvision.__version__,
        "platform": platform.platform(),
        "processor": platform.processor() or platform.machine(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "device": cuda or str(device),
    }


def cut_off(log: Path) -> None:
    """Remove the part of a line at the end of a log that a kill has left."""
    if log.is_file() and not (content := log.read_bytes()).endswith(b"\n"):
        os.truncate(log, content.rfind(b"\n") + 1)


def log_lines(log: Path) -> tuple[list[tuple[str, dict]], int]:
    """The lines of a log as they are and as what they hold, and how many were left out as damaged."""
    found, damaged = [], 0
    for line in log.read_bytes().splitlines(keepends=True):
        try:
            found.append((line.decode(), opened(json.loads(line))))
        except (ValueError, TypeError, RecursionError):
            damaged += 1
    return found, damaged


class Reporter:
    """Writes the log and the scalars of a run and prints its table."""

    def __init__(self, folder: Path):
        self.folder = folder
        cut_off(folder / "log.jsonl")
        self._scalars = SummaryWriter(str(folder / "tensorboard"))

    def say(self, text: str) -> None:
        """Print a line without breaking a progress bar."""
        say(*text.split("\n"))

    def epoch(self, step: str, cycle: int, images_seen: int, record: dict) -> None:
        """Log one epoch of a training; scalars run over the images that the arm has been trained on."""
        arm = "plain" if step == "plain" else "rws"
        line = {"training": training_key(step, cycle), "images": images_seen, **record}
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(sealed(line)) + "\n")
        for name in ("loss", "lr", "miou"):
            if name in record:
                self._scalars.add_scalar(f"{arm}/{name}", record[name], images_seen)
        scores = f", mIoU {record['miou']:.2f}" if "miou" in record else ""
        named = f"cycle {cycle}, {STEPS[step]}, epoch {record['epoch']}"
        self.say(f"  {named}: loss {record['loss']:.4f}{scores}")

    def row(self, cycle: CycleRecord, *, head: bool) -> None:
        """Print a cycle's row, and log its numbers."""
        mean_share, plain = cycle.mean_fused_share, cycle.plain
        miou = cycle.whole[-1]["miou"]
        cells = [
            cycle.cycle,
            "-" if cycle.windows is None else f"{cycle.weak_slices} of {cycle.windows}",
            "-" if mean_share is None else f"{100 * mean_share:.1f} %",
            f"{miou:.2f}",
            f"{plain[-1]['miou']:.2f}" if plain else "-",
            f"{miou - plain[-1]['miou']:+.2f}" if plain else "-",
        ]
        self.say((_HEAD + "\n" if head else "") + _ROW.format(*cells))
        if cycle.weak_slices is not None:
            self._scalars.add_scalar("cycle/weak_slices", cycle.weak_slices, cycle.cycle)
        for stage, value in (cycle.fused_share or {}).items():
            self._scalars.add_scalar(f"fused_share/{stage}", value, cycle.cycle)
        for stage, value in (cycle.missing_weight or {}).items():
            self._scalars.add_scalar(f"missing_weight/{stage}", value, cycle.cycle)
        self._scalars.flush()

    def close(self) -> None:
        """Flush and close the scalars."""
        self._scalars.close()
