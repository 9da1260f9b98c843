"""train: our loop against torchvision's, and with fusion against without, loader and checkpoint included."""

import os
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from benchmarks.inputs import IGNORE, NUM_CLASSES, make_bank, make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.steps import SHARE, crop_and_batch, make_job
from benchmarks.timing import Samples, Work, alternate, as_the_system_has_it
from rws.config import TrainConfig
from rws.core.fusion import identity_coordinates
from rws.core.stages import stage_shapes
from rws.data import DATASETS, VocLayout
from rws.data.batches import SeededBatches
from rws.data.reading import Reading
from rws.data.sets.demo import generate
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.method.fuse import BankFusion
from rws.models.family import IMAGENET_MEAN, IMAGENET_STD
from rws.training.training import Job, Training

# Dense bf16 operations a second, NVIDIA's data sheets of the SXM modules.
BF16_PEAK = {"H100": 989e12, "H200": 989e12, "A100": 312e12}


def _reference_loop(network: nn.Module, loader, steps: int, config: TrainConfig, path: Path) -> float:
    """One epoch as torchvision's references/segmentation trains it, written anew; seconds after step one.

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
    losses, ends = [], []
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
        ends.append(time.perf_counter())
    state = {"model": network.state_dict(), "optimizer": optimizer.state_dict()}
    torch.save({**state, "lr_scheduler": schedule.state_dict()}, path)
    return ends[-1] - ends[0]


def views_of(root: Path, crop: tuple[int, int], count: int, cache: Path | None = None) -> TrainViews:
    """Training crops of generated images."""
    generate(root, train=count, val=1, progress=False)
    split = VocLayout(root, "train", DATASETS["demo"], reading=Reading(cache=cache))
    geometry = Geometry(min(crop), crop)
    transform = train_transform(geometry, Normalisation(IMAGENET_MEAN, IMAGENET_STD), IGNORE)
    return TrainViews(split, [View(i) for i in split.ids], transform)


def _ours(network: nn.Module, job: Job, config: TrainConfig, path: Path) -> Work:
    return lambda: Training(network, job, config, path, IGNORE).run()


@dataclass(frozen=True)
class Scene:
    """What both loops train on."""

    folder: Path
    network: str
    crop: tuple[int, int]
    batch: int
    steps: int
    workers: int
    views: TrainViews


def _scene(context: Context, folder: Path) -> Scene:
    crop, batch = crop_and_batch(context)
    steps = 2 if context.tiny else 50 if context.device.type == "cuda" else 8
    workers = 0 if context.tiny else min(8, os.cpu_count() or 1)
    return Scene(
        folder,
        context.network,
        crop,
        batch,
        steps,
        workers,
        views_of(folder / "demo", crop, max(2, 4 * batch)),
    )


def ours_of(network: nn.Module, scene: Scene, config: TrainConfig) -> Work:
    """Our loop over the scene."""
    job = make_job(scene.views, scene.steps, scene.batch, scene.workers)
    return _ours(network, job, config, scene.folder / "ours.pt")


def reference_of(network: nn.Module, scene: Scene) -> Work:
    """torchvision's loop over the scene."""

    def work() -> float:
        batches = SeededBatches(len(scene.views), scene.batch, scene.steps, seed=0)
        loader = train_loader(scene.views, batches, scene.workers)
        return _reference_loop(network, loader, scene.steps, TrainConfig(), scene.folder / "peer.pt")

    return work


def _against_reference(context: Context, scene: Scene, config: TrainConfig, compiled: bool) -> Samples:
    network, _ = make_network(context.device, context.network)
    peer, _ = make_network(context.device, context.network, channels_last=False)
    if compiled:
        network.compile()
    ours = ours_of(network, scene, config)
    reference = as_the_system_has_it(reference_of(peer, scene))
    return alternate(ours, reference, context.few(2), context.device, warm_up=not context.tiny)


def _fused_against_plain(context: Context, scene: Scene) -> Samples:
    """Whole trainings with and without fusion: coordinate maps and reading in the loader count as well."""
    network, stages = make_network(context.device, context.network)
    shapes = stage_shapes(network, list(stages), scene.crop)
    bank = make_bank(scene.folder / "bank", scene.views.split.ids, shapes, SHARE)
    plain, config = scene.views, TrainConfig()
    views = TrainViews(plain.split, plain.views, plain.transform, identity_coordinates, bank.read)
    fusion = BankFusion(bank, network, scene.crop)
    jobs = [
        make_job(v, scene.steps, scene.batch, scene.workers, f) for v, f in ((views, fusion), (plain, None))
    ]
    fused, unfused = (_ours(network, job, config, scene.folder / "ours.pt") for job in jobs)
    return alternate(fused, unfused, context.few(2), context.device, warm_up=not context.tiny)


def step_flops(network: nn.Module, crop: tuple[int, int], batch: int) -> int:
    """Floating-point operations of a forward and backward pass: those of convolutions and matrix products."""
    images = torch.randn(batch, 3, *crop, device=next(network.parameters()).device)
    with FlopCounterMode(display=False) as counted:
        sum(logits.sum() for logits in network(images).values()).backward()
    return counted.get_total_flops()


def _of_the_chip(context: Context, scene: Scene, seconds: float) -> dict[str, float]:
    """Operations a second, and their share of the chip's bf16 peak where that is known."""
    network, _ = make_network(context.device, context.network)
    rate = step_flops(network, scene.crop, scene.batch) * scene.steps / seconds
    chip = torch.cuda.get_device_name(context.device) if context.device.type == "cuda" else ""
    peak = next((flops for name, flops in BF16_PEAK.items() if name in chip), None)
    return {"tflops": rate / 1e12} | ({"share_of_bf16_peak": rate / peak} if peak else {})


def _row(
    name: str,
    samples: Samples,
    target: Target | None,
    scene: Scene,
    note: str,
    more: dict[str, float] | None = None,
    **sizes: object,
) -> Row:
    """A row with its rates. `more`: further figures."""
    sizes |= {
        "network": scene.network,
        "crop": list(scene.crop),
        "batch": scene.batch,
        "steps": scene.steps,
        "classes": NUM_CLASSES,
    }
    rates = (round(scene.steps * scene.batch / median, 2) for median in samples.medians)
    figures = dict(zip(("images_per_s", "peer_images_per_s"), rates)) | (more or {})
    return make_row(name, samples, target, sizes, figures=figures, note=note)


def train(context: Context) -> list[Row]:
    """Our loop with its loader and checkpoint against one written as torchvision's; on CUDA bf16 too."""
    variants = {"train": ("fp32", False, 1.3)}
    if context.device.type == "cuda":
        variants |= {"train-bf16": ("bf16", False, 2.5), "train-bf16-compiled": ("bf16", True, 2.5)}
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        scene = _scene(context, Path(folder))
        for name, (precision, compiled, target) in variants.items():
            config = TrainConfig(precision=precision)
            samples = _against_reference(context, scene, config, compiled)
            note = (
                "peer: a loop as torchvision's references/segmentation has it, fp32, contiguous, same loader"
            )
            more = _of_the_chip(context, scene, samples.medians[0])
            goal = Target("at least", target)
            rows.append(_row(name, samples, goal, scene, note, more, precision=precision))
        samples = _fused_against_plain(context, scene)
        note = "our loop with fusion, loader included; peer: without"
        rows.append(_row("train-fused", samples, Target("at most", 1.05), scene, note, fused_share=SHARE))
    return rows
