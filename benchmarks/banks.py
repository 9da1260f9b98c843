"""bank: its bytes against dense features, its speed, and whether reading hides behind a training step."""

import json
import os
import tempfile
from pathlib import Path
from statistics import median

import numpy as np
import torch

from benchmarks.inputs import random_rows, write_bank
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.steps import make_step
from benchmarks.timing import Samples, alternate, seconds
from rws.method.bank import Bank, Rows

# ResNet-50 in DeepLabv3: channels and strides.
STAGES = {"layer1": (256, 4), "layer2": (512, 8), "layer3": (1024, 8), "layer4": (2048, 8)}
SIZE, TINY_SIZE = (480, 480), (48, 48)
SHARES = (0.25, 0.5)
BATCH = 8


def grids(size: tuple[int, int]) -> dict[str, tuple[int, int, int]]:
    """(C_l, H_l, W_l) of every stage."""
    return {name: (c, -(-size[0] // s), -(-size[1] // s)) for name, (c, s) in STAGES.items()}


def make_images(size: tuple[int, int], share: float, count: int) -> dict[str, dict[str, Rows]]:
    generator = torch.Generator().manual_seed(4)
    return {
        f"{i:06d}": {name: random_rows(shape, share, generator) for name, shape in grids(size).items()}
        for i in range(count)
    }


def _drop_cache(folder: Path) -> None:
    """Write the files to disk and take them out of the page cache, so that they are read from the disk."""
    for path in folder.iterdir():
        with open(path, "rb") as file:
            os.fsync(file.fileno())
            if hasattr(os, "posix_fadvise"):
                os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _cold(read, folder: Path, repeats: int) -> list[float]:
    """Seconds of each read, with the page cache emptied of the folder before."""
    out = []
    for _ in range(repeats):
        _drop_cache(folder)
        out.append(seconds(read, torch.device("cpu")))
    return out


def _dense(folder: Path, size: tuple[int, int]):
    """How the peer writes and reads one image: all stages, dense float32, one file."""
    values = [np.ones(shape, np.float32) for shape in grids(size).values()]

    def write(count: int) -> None:
        folder.mkdir(exist_ok=True)
        for i in range(count):
            with open(folder / f"{i}.f32", "wb") as file:
                for v in values:
                    v.tofile(file)

    def read() -> None:
        for path in sorted(folder.iterdir()):
            np.fromfile(path, np.float32)

    return sum(v.nbytes for v in values), write, read


def _shares(context: Context) -> tuple[float, ...]:
    """The shares of the brief, and the mean share of a real run where one is given."""
    if context.run is None:
        return SHARES
    cycles = json.loads((Path(context.run) / "summary.json").read_text())["cycles"]
    real = [np.mean(list(c["fused_share"].values())) for c in cycles if c["fused_share"]]
    return (*([round(float(max(real)), 4)] if real else []), *SHARES)


def _of_share(context: Context, share: float, folder: Path) -> list[Row]:
    size = TINY_SIZE if context.tiny else SIZE
    images = make_images(size, share, BATCH)
    dense_bytes, write_dense, read_dense = _dense(folder / "dense", size)
    written = alternate(
        lambda: write_bank(folder / "bank", images),
        lambda: write_dense(BATCH),
        context.few(3),
        torch.device("cpu"),
    )
    stored = sum(p.stat().st_size for p in (folder / "bank").iterdir())
    read = Samples(
        _cold(lambda: _read_all(folder / "bank"), folder / "bank", context.few(5)),
        _cold(read_dense, folder / "dense", context.few(5)),
    )
    warm = alternate(lambda: _read_all(folder / "bank"), read_dense, context.few(5), torch.device("cpu"))
    sizes = {"height": size[0], "width": size[1], "images": BATCH, "fused_share": share}
    name, note = f"bank-{share * 100:g}%", f"peer: dense float32, {dense_bytes / 1e6:.1f} MB an image"
    return [
        make_row(
            name, Samples([stored / BATCH], [dense_bytes]), Target("at least", 10), sizes, "bytes", note=note
        ),
        _speed(f"{name}-write", written, stored, sizes),
        _speed(f"{name}-read", read, stored, sizes, note="page cache emptied before each read"),
        _speed(f"{name}-read-cached", warm, stored, sizes),
    ]


def _read_all(folder: Path) -> None:
    bank = Bank(folder)
    for i in range(BATCH):
        bank.read(f"{i:06d}")


def _speed(name: str, samples: Samples, stored: int, sizes: dict, note: str = "") -> Row:
    figures = {"MB_per_s": round(stored / 1e6 / median(samples.ours), 1)}
    return make_row(name, samples, None, sizes, figures=figures, note=note)


def _hidden(context: Context, folder: Path) -> Row:
    """Reading a batch of 8 against the training step that it has to hide behind."""
    # The step is timed on smaller crops than the bank's images: a shorter step is the harder test.
    crop = (64, 64) if context.tiny else (480, 480) if context.device.type == "cuda" else (224, 224)
    step = make_step(context, crop, BATCH, None, folder)
    step()
    read = _cold(lambda: _read_all(folder / "bank"), folder / "bank", context.few(5))
    steps = [seconds(step, context.device) for _ in range(context.few(3))]
    size = TINY_SIZE if context.tiny else SIZE
    sizes = {"bank_image": list(size), "fused_share": SHARES[-1], "batch": BATCH, "step_crop": list(crop)}
    note = f"reading for a batch of {BATCH}, cache emptied; peer: a training step of {context.network}"
    return make_row("bank-hidden", Samples(read, steps), Target("at most", 1.0), sizes, note=note)


def bank(context: Context) -> list[Row]:
    """Bytes, speed and latency at the fused shares of real runs and at 25 and 50 %."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        for share in _shares(context):
            rows += _of_share(context, share, Path(name))
        rows.append(_hidden(context, Path(name)))
    return rows
