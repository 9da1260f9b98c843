"""step, train: the cost of fusion in a training step, and our loop against torchvision's."""

import os
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn

from benchmarks.banks import random_rows, write_bank
from benchmarks.networks import IGNORE, NUM_CLASSES, make_batch, make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, Work, alternate, peak_memory
from rws.bank import Bank
from rws.config import TrainConfig
from rws.core.fusion import identity_coordinates
from rws.core.stages import stage_shapes
from rws.data import DATASETS, VocLayout
from rws.data.demo import generate
from rws.data.loading import SeededBatches, TrainBatch, TrainViews, View, train_loader
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.engine import Job, Training
from rws.fuse import BankFusion
from rws.models import IMAGENET_MEAN, IMAGENET_STD

CROP, TINY_CROP = (224, 224), (64, 64)
CUDA_CROP = (480, 480)
SHARE = 0.5  # the most that a trial run fused


def _size(context: Context) -> tuple[tuple[int, int], int]:
    """Crop and batch size."""
    if context.tiny:
        return TINY_CROP, 2
    return (CUDA_CROP, 16) if context.device.type == "cuda" else (CROP, 4)


def _job(views, steps: int, batch: int, workers: int = 0, fusion=None) -> Job:
    return Job("benchmark", views, steps, steps, batch, seed=0, workers=workers, fusion=fusion)


def _fusable(network: nn.Module, stages, crop: tuple[int, int], batch: int, share: float, folder: Path) -> Bank:
    """A bank with rows of every stage of the network for the images 000000, 000001, ..."""
    generator = torch.Generator().manual_seed(5)
    shapes = stage_shapes(network, list(stages), crop)
    images = {
        f"{i:06d}": {name: random_rows(shape, share, generator) for name, shape in shapes.items()}
        for i in range(batch)
    }
    return write_bank(folder / "step-bank", images)


def make_step(
    device: torch.device, crop: tuple[int, int], batch: int, share: float | None, folder: Path
) -> Work:
    """A training step of our engine on a fixed batch, fused at `share` of the cells unless that is None."""
    network, stages = make_network(device)
    return _step_on(network, stages, crop, batch, share, folder)


def _step_on(network: nn.Module, stages, crop, batch: int, share: float | None, folder: Path) -> Work:
    images, labels, _ = make_batch(batch, crop, 3, torch.device("cpu"))
    images = images.to(memory_format=torch.channels_last)
    ids = tuple(f"{i:06d}" for i in range(batch))
    sample, fusion = TrainBatch(images, labels, ids), None
    if share is not None:
        bank = _fusable(network, stages, crop, batch, share, folder)
        where = identity_coordinates(*crop).expand(batch, -1, -1, -1)
        sample = replace(sample, where=where, attached=tuple(bank.read(i) for i in ids))
        fusion = BankFusion(bank, network, crop)
    job = _job((), 10**6, batch, fusion=fusion)
    training = Training(network, job, TrainConfig(), folder / "none.pt", IGNORE)
    return lambda: training._one_step(sample)  # without the loader and the records of Training.run


def prepare_steps(device: str, crop: tuple[int, int], batch: int, share: float | None) -> Work:
    """Two steps, as work for `peak_memory`: the second one has the optimizer's state."""
    with tempfile.TemporaryDirectory() as folder:
        step = make_step(torch.device(device), crop, batch, share, Path(folder))
    return lambda: [step() for _ in range(2)]


def step(context: Context) -> list[Row]:
    """A fused training step against the same step without: time, and peak memory."""
    crop, batch = _size(context)
    sizes = {"crop": list(crop), "batch": batch, "fused_share": SHARE}
    network, stages = make_network(context.device)
    with tempfile.TemporaryDirectory() as name:
        steps = [_step_on(network, stages, crop, batch, share, Path(name)) for share in (SHARE, None)]
        samples = alternate(*steps, context.repeats, context.device)
    device = context.device.type
    peaks = [
        [float(peak_memory(prepare_steps, device, crop, batch, share, device=context.device))]
        for share in (SHARE, None)
    ]
    note = "peer: the same step without fusion"
    return [
        make_row("step", samples, Target("at most", 1.05), sizes, note=note),
        make_row("step-memory", Samples(*peaks), Target("at most", 1.10), sizes, "bytes", note=note),
    ]


def _reference_loop(network: nn.Module, loader, steps: int, config: TrainConfig, path: Path) -> None:
    """One epoch as torchvision's references/segmentation trains it, written anew.

    Cross-entropy plus half of the auxiliary one, SGD with the auxiliary head at ten times the rate, a
    polynomial schedule stepped each iteration, and a checkpoint at the end.
    """
    device = next(network.parameters()).device
    groups = [
        {"params": [p for n, p in network.named_parameters() if not n.startswith("aux_classifier")]},
        {"params": network.aux_classifier.parameters(), "lr": config.lr * 10},
    ]
    optimizer = torch.optim.SGD(
        groups, lr=config.lr, momentum=config.momentum, weight_decay=config.weight_decay
    )
    schedule = torch.optim.lr_scheduler.PolynomialLR(optimizer, total_iters=steps, power=0.9)
    network.train()
    losses = []
    for batch in loader:
        images, labels = batch.images.to(device), batch.labels.to(device)
        output = network(images)
        parts = {k: F.cross_entropy(v, labels, ignore_index=IGNORE) for k, v in output.items()}
        loss = parts["out"] + 0.5 * parts["aux"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(loss.item())
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "lr_scheduler": schedule.state_dict()}, path)


def _views(root: Path, crop: tuple[int, int], count: int, bank: Bank | None = None) -> TrainViews:
    """Training crops of generated images."""
    if not root.exists():
        generate(root, train=count, val=1, progress=False)
    split = VocLayout(root, "train", DATASETS["demo"])
    geometry = Geometry(min(crop), crop)
    transform = train_transform(geometry, Normalisation(IMAGENET_MEAN, IMAGENET_STD), IGNORE)
    fused = {"coordinates": identity_coordinates, "attach": bank.read} if bank else {}
    return TrainViews(split, [View(i) for i in split.ids], transform, **fused)


def _ours(network: nn.Module, job: Job, config: TrainConfig, path: Path) -> Work:
    def run() -> None:
        Training(network, job, config, path, IGNORE).run()

    return run


def _pair(context: Context, config: TrainConfig, steps: int, folder: Path, compiled: bool) -> Samples:
    crop, batch = _size(context)
    workers = 0 if context.tiny else min(8, os.cpu_count() or 1)
    views = _views(folder / "demo", crop, max(2, 4 * batch))
    network, _ = make_network(context.device)
    peer, _ = make_network(context.device, channels_last=False)
    if compiled:
        network.compile()
    job = _job(views, steps, batch, workers)

    def reference() -> None:
        loader = train_loader(views, SeededBatches(len(views), batch, steps, 0), workers)
        _reference_loop(peer, loader, steps, TrainConfig(), folder / "peer.pt")

    ours = _ours(network, job, config, folder / "ours.pt")
    return alternate(ours, reference, context.few(3), context.device, warm_up=not context.tiny)


def train(context: Context) -> list[Row]:
    """Our loop with its loader and checkpoint against a loop written as torchvision's; on CUDA bf16 too."""
    crop, batch = _size(context)
    cuda = context.device.type == "cuda"
    steps = 2 if context.tiny else 50 if cuda else 6
    variants = {"train": ("fp32", False, 1.3)}
    if cuda:
        variants |= {"train-bf16": ("bf16", False, 2.5), "train-bf16-compiled": ("bf16", True, 2.5)}
    rows = []
    for name, (precision, compiled, target) in variants.items():
        with tempfile.TemporaryDirectory() as folder:
            config = TrainConfig(precision=precision, batch_size=batch)
            samples = _pair(context, config, steps, Path(folder), compiled)
        sizes = {"crop": list(crop), "batch": batch, "steps": steps, "classes": NUM_CLASSES}
        figures = {
            who: round(steps * batch / seconds, 2)
            for who, seconds in zip(("images_per_s", "peer_images_per_s"), samples.medians)
        }
        note = "peer: a loop as torchvision's references/segmentation has it, fp32, contiguous, same loader"
        rows.append(make_row(name, samples, Target("at least", target), sizes, figures=figures, note=note))
    return rows
