"""ways-rws: three passes by `--ways rws` against three plain passes, in time and in memory."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import torch
from PIL import Image

from benchmarks.backends import LARGE, LIGHT, SIZE, TINY_SIZE
from benchmarks.inputs import make_batch, make_network
from benchmarks.predicting import photographs
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, Work, alternate, peak_memory, peak_of_tensors
from rws.data import DATASETS
from rws.method.look_again import PassBudget, look_again
from rws.models import FAMILIES
from rws.predict.images import open_image
from rws.predict.inference import predict_label, prepare_for_prediction
from rws.predict.ways import LookAgain
from rws.runs.model_file import Card

PASSES = 3
# Of each network: the short side in pixels, and how many photographs.
NETWORKS = {LIGHT: (224, 12), LARGE: (240, 3)}
MOST = Target("at most", 1.05)


def _ready(name: str, device: torch.device, side: int) -> tuple[torch.nn.Module, Card]:
    network = prepare_for_prediction(make_network(device, name)[0], device)
    return network, Card(name, False, FAMILIES[name].stages, DATASETS["voc2012"], side)


def _again(network: torch.nn.Module, card: Card, images: list[Image.Image]) -> None:
    """As `rws predict --ways rws --passes 3` sees a folder: three passes an image on the average."""
    budget = PassBudget(LookAgain(PASSES))
    for image in images:
        look_again(network, card, image, LookAgain(PASSES), budget).label()


def _plainly(network: torch.nn.Module, card: Card, images: list[Image.Image]) -> None:
    for image in images:
        for _ in range(PASSES):
            predict_label(network, card, image)


def prepare_again(size: tuple[int, int], side: int) -> Work:
    """`--ways rws` with one image, as work for `peak_memory`."""
    network, card = _ready(LIGHT, torch.device("cpu"), side)
    with tempfile.TemporaryDirectory() as folder:
        (path,) = photographs(Path(folder), size, 1)
        images = [open_image(path)]
    return lambda: _again(network, card, images)


def prepare_batch(size: tuple[int, int], side: int) -> Work:
    """A batch of three images of that size, as work for `peak_memory`."""
    network, _ = _ready(LIGHT, torch.device("cpu"), side)
    images, _, _ = make_batch(PASSES, (side, side * size[1] // size[0]), 1, torch.device("cpu"))

    @torch.inference_mode()
    def work() -> None:
        network(images.contiguous(memory_format=torch.channels_last))["out"].softmax(1)

    return work


def ways_rws(context: Context) -> list[Row]:
    """Photographs of one folder, the network's loading not included; and the memory of one of them."""
    networks = {LIGHT: (64, 2)} if context.tiny else NETWORKS
    rows = [_timed(context, name, *facts) for name, facts in networks.items()]
    if context.device.type == "cpu":
        rows.append(_memory(context, rows[0].sizes))
    return rows


def _timed(context: Context, name: str, side: int, count: int) -> Row:
    size = TINY_SIZE if context.tiny else SIZE
    network, card = _ready(name, context.device, side)
    with tempfile.TemporaryDirectory() as folder:
        images = [open_image(path) for path in photographs(Path(folder), size, count)]
    samples = alternate(
        lambda: _again(network, card, images),
        lambda: _plainly(network, card, images),
        context.repeats,
        context.device,
        clock=context.clock,
    )
    sizes = {"images": count, "height": size[0], "width": size[1], "side": side, "network": name}
    by = "; time of the process" if context.cpu_time else ""
    note = f"{PASSES} passes an image, the windows in one batch; peer: {PASSES} plain predictions"
    title = "light" if name == LIGHT else "resnet50"
    return make_row(f"ways-rws-{title}", samples, MOST, sizes, note=note + by)


def _memory(context: Context, sizes: dict) -> Row:
    size = sizes["height"], sizes["width"]

    def peak(prepare: Callable[..., Work]) -> float:
        return float(peak_memory(prepare, size, sizes["side"], device=context.device))

    # A process each: by where the C library lays things the peak of one differs by a tenth from the next.
    samples = Samples([], [])
    for _ in range(context.repeats):
        samples.ours.append(peak(prepare_again))
        samples.peer.append(peak(prepare_batch))
    figures = {
        "tensor_bytes": peak_of_tensors(prepare_again(size, sizes["side"])),
        "peer_tensor_bytes": peak_of_tensors(prepare_batch(size, sizes["side"])),
    }
    note = f"peak memory; peer: a batch of {PASSES} of the network's inputs, nothing drawn"
    return make_row("ways-rws-memory", samples, MOST, sizes, "bytes", figures=figures, note=note)
