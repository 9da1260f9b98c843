"""start, predict-one: what a command costs by itself, beside importing torch and torchvision."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from benchmarks.inputs import make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples
from rws.data import DATASETS
from rws.data.sets.demo import generate
from rws.models import FAMILIES
from rws.runs.model_file import Card, save_trained
from rws.runtime.bars import tracked

NETWORK = "deeplabv3_efficientnet_lite0"
SIZE, TINY_SIZE = (375, 500), (64, 80)
IMPORTS = ["-c", "import torch, torchvision"]
NOTE = "seconds of the processor in a process of its own; peer: python -c 'import torch, torchvision'"


def process_seconds(words: list[str]) -> float:
    """Seconds of the processor, its own and the system's, that a Python process with these words takes.

    Raises: RuntimeError where it fails.
    """
    argv = [sys.executable, *words]
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{' '.join(argv)}: ended with {process.returncode}")
    return used.ru_utime + used.ru_stime


def _alternate(words: list[str], repeats: int) -> Samples:
    """Ours and the imports in turns; the first of each, which reads files from the disk, does not count."""
    samples = Samples([], [])
    for _ in tracked(range(repeats + 1), desc="A B", leave=False):
        samples.ours.append(process_seconds(words))
        samples.peer.append(process_seconds(IMPORTS))
    return Samples(samples.ours[1:], samples.peer[1:])


def start(context: Context) -> list[Row]:
    """`rws --help`."""
    samples = _alternate(["-m", "rws", "--help"], context.repeats)
    return [make_row("start", samples, Target("at most", 0.5, "ours"), {"command": "rws --help"}, note=NOTE)]


def predict_one(context: Context) -> list[Row]:
    """`rws predict` of one photograph by the light network."""
    size = TINY_SIZE if context.tiny else SIZE
    card = Card(NETWORK, True, FAMILIES[NETWORK].stages, DATASETS["voc2012"], base_size=min(size))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        save_trained(folder / "network.pt", make_network(context.device, NETWORK)[0].eval(), card)
        root = generate(folder / "demo", train=1, val=1, progress=False)
        with Image.open(next((root / "JPEGImages").glob("train_*.jpg"))) as image:
            image.resize(size[::-1], Image.Resampling.BICUBIC).save(folder / "photo.jpg", quality=92)
        flags = {"checkpoint": folder / "network.pt", "output": folder / "out", "device": context.device.type}
        words = ["-m", "rws", "predict", str(folder / "photo.jpg"), *(f"--{k}={v}" for k, v in flags.items())]
        samples = _alternate(words, context.repeats)
    sizes = {"height": size[0], "width": size[1], "network": NETWORK}
    return [make_row("predict-one", samples, Target("at most", 3.0, "ours"), sizes, note=NOTE)]
