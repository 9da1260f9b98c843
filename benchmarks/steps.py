"""step: what fusion adds to a training step, in time and in memory."""

import copy
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from torch import nn

from benchmarks.inputs import IGNORE, make_bank, make_batch, make_network, random_rows
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, Work, alternate, peak_memory
from rws.config import TrainConfig
from rws.core.fusion import identity_coordinates
from rws.core.slices import window_boxes
from rws.core.stages import stage_shapes
from rws.data.views import TrainBatch
from rws.method.bank import Bank, BankWriter, Rows, seal
from rws.method.fuse import BankFusion
from rws.method.online import OnlineFusion, SliceRows
from rws.training.training import Job, Training

CROP, TINY_CROP = (224, 224), (64, 64)
CUDA_CROP = (480, 480)
SHARE = 0.5  # the most that a trial run fused
SLICES = 4  # winning slices of an image in the online step


def crop_and_batch(context: Context) -> tuple[tuple[int, int], int]:
    """Crop and batch size of training steps."""
    if context.tiny:
        return TINY_CROP, 2
    return (CUDA_CROP, 16) if context.device.type == "cuda" else (CROP, 4)


def make_job(views, steps: int, batch: int, workers: int = 0, fusion=None) -> Job:
    return Job("benchmark", views, steps, steps, batch, seed=0, workers=workers, fusion=fusion)


def make_step(context: Context, crop: tuple[int, int], batch: int, share: float | None, folder: Path) -> Work:
    """A training step of our engine on a fixed batch, fused at `share` of the cells unless that is None."""
    network, stages = make_network(context.device, context.network)
    return _step_on(network, stages, crop, batch, share, folder)


def _step_on(network: nn.Module, stages, crop, batch: int, share: float | None, folder: Path) -> Work:
    images, labels, _ = make_batch(batch, crop, 3, torch.device("cpu"))
    images = images.to(memory_format=torch.channels_last)
    ids = tuple(f"{i:06d}" for i in range(batch))
    sample, fusion = TrainBatch(images, labels, ids), None
    if share is not None:
        bank = make_bank(folder / "step-bank", ids, stage_shapes(network, list(stages), crop), share)
        where = identity_coordinates(*crop).expand(batch, -1, -1, -1)
        sample = replace(sample, where=where, attached=tuple(bank.read(i) for i in ids))
        fusion = BankFusion(bank, network, crop)
    job = make_job((), 10**6, batch, fusion=fusion)
    training = Training(network, job, TrainConfig(), folder / "none.pt", IGNORE)
    # Without the loader and the records of Training.run.
    return lambda: training._one_step(sample, lambda: None)


def _online_rows(shapes: dict[str, tuple[int, int, int]], crop: tuple[int, int], folder: Path) -> SliceRows:
    """What travels with an image in the online mode: SLICES slices, each winning in its quarter."""
    generator = torch.Generator().manual_seed(4)
    quarters = window_boxes(*crop, step=0.5)
    rows = {}
    for stage, (_, height, width) in shapes.items():
        full = random_rows((1, height, width), SHARE, generator)
        row, column = full.cells // width, full.cells % width
        number = (row * 2 // height) * 2 + column * 2 // width
        rows[stage] = Rows(full.cells, full.n, number[:, None], (height, width))
    writer = BankWriter(folder / "online-bank", dict.fromkeys(shapes, 1), "winner")
    writer.add("image", rows)
    writer.close()
    seal(folder / "online-bank")
    slices = torch.randn(SLICES, 3, *crop, generator=generator)
    return SliceRows(Bank(folder / "online-bank").read("image"), slices, quarters, torch.arange(SLICES), crop)


def _online_step(network: nn.Module, stages, crop: tuple[int, int], batch: int, folder: Path) -> Work:
    """A training step whose slices' features are computed within it, by a copy of the network."""
    images, labels, _ = make_batch(batch, crop, 3, torch.device("cpu"))
    attached = _online_rows(stage_shapes(network, list(stages), crop), crop, folder)
    where = identity_coordinates(*crop).expand(batch, -1, -1, -1)
    images = images.to(memory_format=torch.channels_last)
    sample = TrainBatch(images, labels, ("image",) * batch, where, (attached,) * batch)
    bank = Bank(folder / "online-bank")
    fusion = OnlineFusion(bank, network, crop, sliced=copy.deepcopy(network))
    training = Training(
        network, make_job((), 10**6, batch, fusion=fusion), TrainConfig(), folder / "none.pt", IGNORE
    )
    return lambda: training._one_step(sample, lambda: None)


def step_online(context: Context) -> list[Row]:
    """A step that computes its slices' features against one that finds them in the bank."""
    crop, batch = crop_and_batch(context)
    sizes = {"crop": list(crop), "batch": batch, "fused_share": SHARE, "slices_per_image": SLICES}
    sizes |= {"network": context.network}
    network, stages = make_network(context.device, context.network)
    with tempfile.TemporaryDirectory() as name:
        online = _online_step(network, stages, crop, batch, Path(name))
        stored = _step_on(network, stages, crop, batch, SHARE, Path(name))
        samples = alternate(online, stored, context.few(3), context.device)
    cost = samples.medians[0] / samples.medians[1]
    note = f"every image with {SLICES} winning slices; peer: the same step with the bank"
    return [make_row("step-online", samples, None, sizes, note=note, figures={"times_the_peer": cost})]


def prepare_steps(context: Context, crop: tuple[int, int], batch: int, share: float | None) -> Work:
    """Two steps, as work for `peak_memory`: the second one has the optimizer's state."""
    with tempfile.TemporaryDirectory() as folder:
        step = make_step(context, crop, batch, share, Path(folder))
    return lambda: [step() for _ in range(2)]


def step(context: Context) -> list[Row]:
    """A fused training step against the same step without: time, and peak memory."""
    crop, batch = crop_and_batch(context)
    sizes = {"crop": list(crop), "batch": batch, "fused_share": SHARE, "network": context.network}
    network, stages = make_network(context.device, context.network)
    with tempfile.TemporaryDirectory() as name:
        steps = [_step_on(network, stages, crop, batch, share, Path(name)) for share in (SHARE, None)]
        samples = alternate(*steps, context.repeats, context.device)
    peaks = [
        [float(peak_memory(prepare_steps, context, crop, batch, share, device=context.device))]
        for share in (SHARE, None)
    ]
    note = "peer: the same step without fusion"
    return [
        make_row("step", samples, Target("at most", 1.05), sizes, note=note),
        make_row("step-memory", Samples(*peaks), Target("at most", 1.10), sizes, "bytes", note=note),
    ]
