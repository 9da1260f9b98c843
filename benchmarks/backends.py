"""predict-backend and film: `rws predict` with another backend against the same command with torch."""

import contextlib
import io
import os
import tempfile
from fractions import Fraction
from functools import partial
from pathlib import Path

import torch
from PIL import Image

from benchmarks.inputs import make_network
from benchmarks.predicting import photographs
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, alternate, in_turns
from rws.commands.main import main as rws
from rws.data import DATASETS
from rws.models import FAMILIES
from rws.predict.video.sinks import Mp4
from rws.runs.model_file import Card, save_trained

LIGHT, LARGE = "deeplabv3_efficientnet_lite0", "deeplabv3_resnet50"
# Of each network: the name of its rows, the short side in pixels, how many photographs, and the target.
NETWORKS = {LIGHT: ("light", 224, 96, 1.6), LARGE: ("resnet50", 240, 16, 2.0)}
BACKENDS = ("onnxruntime", "openvino", "openvino-bf16")
SIZE, TINY_SIZE = (375, 500), (64, 80)
FILM_SIZE, FRAMES, RATE = (480, 854), 24, 12


def save_network(path: Path, name: str, base_size: int, seed: int = 0) -> None:
    """A checkpoint of an untrained network; another seed has other weights."""
    network, _ = make_network(torch.device("cpu"), name, channels_last=False)
    with torch.no_grad():
        for value in network.parameters():
            value *= 1 + 1e-3 * seed
    save_trained(path, network, Card(name, True, FAMILIES[name].stages, DATASETS["voc2012"], base_size))


def run_command(*words: object) -> None:
    """A command of `rws`, of which nothing is printed."""
    silent = io.StringIO()
    with contextlib.redirect_stdout(silent), contextlib.redirect_stderr(silent):
        if rws([str(word) for word in words]):
            raise RuntimeError(f"rws {words[0]} failed: {silent.getvalue()}")


@contextlib.contextmanager
def _folder():
    """A folder that is gone afterwards, the user's cache in it."""
    before = os.environ.get("XDG_CACHE_HOME")
    with tempfile.TemporaryDirectory() as name:
        os.environ["XDG_CACHE_HOME"] = name
        try:
            yield Path(name)
        finally:
            os.environ.pop("XDG_CACHE_HOME")
            if before is not None:
                os.environ["XDG_CACHE_HOME"] = before


def predict_backend(context: Context) -> list[Row]:
    """Photographs through the light network and ResNet-50, loading and writing included."""
    networks = {LIGHT: ("light", 64, 2, 1.6)} if context.tiny else NETWORKS
    return [row for name, facts in networks.items() for row in _of_network(context, name, *facts)]


def _of_network(
    context: Context, network: str, title: str, side: int, count: int, target: float
) -> list[Row]:
    size = TINY_SIZE if context.tiny else SIZE
    sizes = {"images": count, "height": size[0], "width": size[1], "side": side, "network": network}
    backends = BACKENDS[:1] if context.tiny else BACKENDS
    with _folder() as folder:
        save_network(folder / "network.pt", network, side)
        photographs(folder, size, count)
        words = ("predict", folder / "photographs", "--model", folder / "network.pt", "--output")
        command = partial(run_command, *words, folder / "out", "--device", "cpu", "--backend")
        works = {name: partial(command, name) for name in ("torch", *backends)}
        found = in_turns(works, context.few(3), context.device, context.clock)
    rows = []
    for name in backends:
        goal = Target("at least", target) if name == "openvino" else None
        note = f"rws predict --backend {name}, from start to end; peer: the same with torch" + _by(context)
        samples = Samples(found[name], found["torch"])
        rows.append(make_row(f"predict-backend-{title}-{name}", samples, goal, sizes, note=note))
    return rows


def _by(context: Context) -> str:
    return "; time of the process" if context.cpu_time else ""


def film(context: Context) -> list[Row]:
    """A film by two light networks side by side."""
    size, frames = (TINY_SIZE, 2) if context.tiny else (FILM_SIZE, FRAMES)
    backend = BACKENDS[0] if context.tiny else "openvino"
    with _folder() as folder:
        for seed, name in enumerate(("plain.pt", "rws.pt")):
            save_network(folder / name, LIGHT, min(size), seed)
        _write_film(folder, size, frames)
        words = ("predict", folder / "film.mp4", "--compare", folder / "plain.pt", folder / "rws.pt")
        command = partial(run_command, *words, "--output", folder / "out.mp4", "--device", "cpu", "--backend")
        samples = alternate(
            partial(command, backend),
            partial(command, "torch"),
            context.few(3),
            context.device,
            clock=context.clock,
        )
    rates = (round(frames / seconds, 2) for seconds in samples.medians)
    figures = dict(zip(("frames_per_s", "peer_frames_per_s"), rates))
    sizes = {"frames": frames, "height": size[0], "width": size[1], "network": LIGHT, "networks": 2}
    note = f"rws predict --compare --backend {backend}, from start to end; peer: the same with torch"
    goal = Target("at least", 2.0)
    return [make_row("film", samples, goal, sizes, figures=figures, note=note + _by(context))]


def _write_film(folder: Path, size: tuple[int, int], frames: int) -> None:
    sink = Mp4(folder / "film.mp4", size[::-1], Fraction(RATE), Fraction(1, RATE))
    for number, path in enumerate(photographs(folder, size, frames)):
        with Image.open(path) as picture:
            sink.add(picture.convert("RGB"), Fraction(number, RATE), Fraction(1, RATE))
    sink.close()
