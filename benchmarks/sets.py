"""score-set, copies: asked of a GPU alone: a whole set in two minutes, and no copy to or from the host."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks.inputs import make_batch, make_network
from benchmarks.memory import FILES, GREY, Repeated
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.steps import SHARE, crop_and_batch
from benchmarks.timing import Samples, seconds
from rws.config import SliceConfig
from rws.core.cam import seg_grad_cam
from rws.core.fusion import batch_blends, fused, identity_coordinates, sample_blend, shrink_coordinates
from rws.core.stages import stage_shapes
from rws.data.eval_images import eval_loader
from rws.data.sets.demo import generate
from rws.data.sliced_images import SlicedImages, sliced_loader
from rws.data.transforms import eval_transform
from rws.method.cams import CamNetwork
from rws.method.score import score_images
from rws.method.select import select_features

IMAGES, SIDE = 1464, 520  # the training images of VOC 2012, and the size of its runs
KEPT = 4  # slices an image at most


def score_set(context: Context) -> list[Row]:
    """Score and select a whole training set; without a GPU there is nothing to measure."""
    if context.device.type != "cuda" and not context.tiny:
        return []
    images, side = (4, 64) if context.tiny else (IMAGES, SIDE)
    network, stages = make_network(context.device, context.network)
    with tempfile.TemporaryDirectory() as name:
        split = Repeated(generate(Path(name) / "demo", train=FILES, val=1, progress=False), images)
        scored = CamNetwork(network.eval(), tuple(stages), split.classes)
        kept: list[int] = []

        def work() -> None:
            view = eval_transform(side, GREY)
            batches = eval_loader(split, view, 8, workers=8 * (not context.tiny))
            scores = score_images(scored, batches, split.ids, SliceConfig(most_per_image=KEPT))
            kept.append(sum(map(len, scores.boxes.values())))
            sliced = sliced_loader(SlicedImages(split, scores.boxes, view), 8 * (not context.tiny))
            select_features(scored, scored, sliced, Path(name) / "bank", 8)

        taken = Samples([seconds(work, context.device)], [])
    sizes = {"images": images, "short_side": side, "network": context.network, "slices": kept[0]}
    note = "scoring and selecting, loader and bank included; generated images, untrained network"
    return [make_row("score-set", taken, Target("at most", 120.0, "ours"), sizes, note=note)]


def host_copies(work: Callable[[], object]) -> int:
    """How often a call copies between host and device, or waits for a value of the device."""
    work()  # cuDNN's choices and first allocations
    torch.cuda.synchronize()
    with profile(activities=[ProfilerActivity.CPU, ProfilerActivity.CUDA]) as found:
        work()
    names = [event.name for event in found.events()]
    return sum("HtoD" in name or "DtoH" in name or name == "aten::_local_scalar_dense" for name in names)


def copies(context: Context) -> list[Row]:
    """Copies between host and device inside the cam and the fusion path, by the profiler."""
    if context.device.type != "cuda":
        return []
    crop, batch = crop_and_batch(context)
    network, stages = make_network(context.device, context.network)
    images, labels, classes = make_batch(batch, crop, 3, context.device)
    network.eval()

    def maps() -> object:
        return seg_grad_cam(network, stages, images, labels, classes, most=len(classes))

    rows, where = {}, identity_coordinates(*crop).to(context.device)
    for stage, (channels, *grid) in stage_shapes(network, list(stages), crop).items():
        cells = torch.arange(0, grid[0] * grid[1], round(1 / SHARE), device=context.device)
        n = torch.full((len(cells),), 0.5, device=context.device)
        rows[stage] = (cells, n, torch.ones(len(cells), channels, device=context.device)), tuple(grid)

    def blend() -> None:
        blends = {}
        for stage, (row, grid) in rows.items():
            one = sample_blend(row, grid, shrink_coordinates(where, grid))
            blends[stage] = batch_blends([one] * batch)
        with fused(stages, blends), torch.no_grad():
            network(images)

    sizes = {"crop": list(crop), "batch": batch, "network": context.network}
    return [
        make_row(name, Samples([float(host_copies(work))], []), Target("at most", 0, "ours"), sizes, "copies")
        for name, work in (("copies-cam", maps), ("copies-fusion", blend))
    ]
