"""What a run says: the table on the console, log.jsonl, its loggers, env.json and summary.json."""

import json
import os
import platform
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
import torchvision

from rws.runs.loggers import Logger
from rws.runs.record import STEPS, CycleRecord, training_key
from rws.runs.seals import opened, sealed
from rws.runtime.bars import say
from rws.runtime.files import cut_off

_ROW = "{:>5}  {:>11}  {:>11}  {:>7}  {:>10}  {:>8}"
_HEAD = _ROW.format("cycle", "weak slices", "fused share", "mIoU", "plain mIoU", "diff")


def _commit() -> str | None:
    """The commit of this code, with a + when files differ from it; None outside a checkout."""

    def git(*words: str) -> str:
        here = Path(__file__).parent
        return subprocess.run(["git", *words], cwd=here, capture_output=True, text=True, check=True).stdout

    try:
        # What is installed may lie in a folder of another project.
        git("ls-files", "--error-unmatch", Path(__file__).name)
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
    """Writes the log of a run, tells its loggers, and prints its table."""

    def __init__(self, folder: Path, loggers: Sequence[Logger] = ()):
        self.folder, self.loggers = folder, tuple(loggers)
        cut_off(folder / "log.jsonl")

    def say(self, text: str) -> None:
        """Print a line without breaking a progress bar."""
        say(*text.split("\n"))

    def epoch(self, step: str, cycle: int, images_seen: int, record: dict) -> None:
        """Log one epoch of a training; scores run over the images that the arm has been trained on."""
        arm = arm_of(step)
        line = {"training": training_key(step, cycle), "images": images_seen, **record}
        with open(self.folder / "log.jsonl", "a") as file:
            file.write(json.dumps(sealed(line)) + "\n")
        values = {f"{arm}/{name}": record[name] for name in ("loss", "lr", "miou") if name in record}
        values |= {f"{arm}/iou/{name}": v for name, v in record.get("iou", {}).items() if v is not None}
        self._tell(values, images_seen)
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
        values = {} if cycle.weak_slices is None else {"cycle/weak_slices": cycle.weak_slices}
        values |= {f"fused_share/{stage}": share for stage, share in (cycle.fused_share or {}).items()}
        values |= {f"missing_weight/{stage}": w for stage, w in (cycle.missing_weight or {}).items()}
        self._tell(values, cycle.cycle)

    def _tell(self, values: dict[str, float], at: int) -> None:
        for logger in self.loggers if values else ():
            logger.scores(values, at)

    def close(self, summary: dict | None = None) -> None:
        """End the loggers, with the last scores of a run that has ended."""
        final = {} if summary is None else final_scores(summary)
        for logger in self.loggers:
            logger.end(final)


def arm_of(step: str) -> str:
    """The arm of a run that a training belongs to, as loggers name it."""
    return "plain" if step == "plain" else "rws"


def final_scores(summary: dict) -> dict[str, float]:
    """The last scores of a run by name."""
    return {f"final/{arm}_miou": summary[arm]["miou"] for arm in ("rws", "plain")}
