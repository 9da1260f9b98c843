"""predict: predict.py over a folder against the bare forward pass of the same network on the same sizes."""

import contextlib
import io
import tempfile
from pathlib import Path

import torch
from PIL import Image
from torch import nn

import predict as predict_script
from benchmarks.inputs import make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import alternate
from rws.data import DATASETS
from rws.data.sets.demo import generate
from rws.models import FAMILIES
from rws.predict.images import open_image
from rws.predict.inference import network_input
from rws.runs.model_file import Card, save_trained

NETWORK = "deeplabv3_efficientnet_lite0"
SIZE, TINY_SIZE = (375, 500), (64, 80)
IMAGES = 48


def photographs(folder: Path, size: tuple[int, int], count: int) -> list[Path]:
    """Generated scenes, enlarged, as JPEG files."""
    root = generate(folder / "demo", train=count, val=1, progress=False)
    made = folder / "photographs"
    made.mkdir()
    for path in sorted((root / "JPEGImages").glob("train_*.jpg")):
        with Image.open(path) as image:
            image.resize(size[::-1], Image.Resampling.BICUBIC).save(made / path.name, quality=92)
    return sorted(made.iterdir())


def _script(folder: Path, device: str) -> None:
    flags = {"checkpoint": "network.pt", "input": "photographs", "output": "out"}
    argv = [f"--{flag}={folder / name}" for flag, name in flags.items()] + [f"--device={device}"]
    with contextlib.redirect_stdout(io.StringIO()):
        if predict_script.main(argv):
            raise RuntimeError("predict.py failed")


@torch.inference_mode()
def _forward(network: nn.Module, inputs: list[torch.Tensor]) -> None:
    for image in inputs:
        network(image)["out"]


def predict(context: Context) -> list[Row]:
    """Images a second with reading, drawing and writing, the network's loading included."""
    size, count = (TINY_SIZE, 4) if context.tiny else (SIZE, IMAGES)
    classes = DATASETS["voc2012"]
    card = Card(NETWORK, True, FAMILIES[NETWORK].stages, classes, base_size=min(size))
    network = make_network(context.device, NETWORK, channels_last=False)[0].eval()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = photographs(folder, size, count)
        save_trained(folder / "network.pt", network, card)
        inputs = [network_input(card, open_image(path)).to(context.device).contiguous() for path in paths]
        samples = alternate(
            lambda: _script(folder, context.device.type),
            lambda: _forward(network, inputs),
            context.repeats,
            context.device,
        )
    rates = (round(count / seconds, 2) for seconds in samples.medians)
    figures = dict(zip(("images_per_s", "peer_images_per_s"), rates))
    sizes = {"images": count, "height": size[0], "width": size[1], "network": NETWORK}
    note = "predict.py from start to end; peer: the bare forward pass, contiguous, auxiliary head included"
    return [make_row("predict", samples, Target("at least", 0.9), sizes, figures=figures, note=note)]
