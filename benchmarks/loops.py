"""train-light: the loop with the light network over 30 steps, against torchvision's and bare steps."""

import tempfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.inputs import IGNORE, make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.steps import make_job
from benchmarks.timing import Samples, Work, alternate, as_the_system_has_it, in_turns, seconds
from benchmarks.training import Scene, ours_of, reference_of, views_of
from rws.config import TrainConfig
from rws.data.batches import SeededBatches
from rws.data.views import train_loader
from rws.training.training import Training

NETWORK = "deeplabv3_efficientnet_lite0"
CROP, BATCH, STEPS = (224, 224), 4, 30
TINY = (64, 64), 2, 2


def _scene(context: Context, folder: Path) -> Scene:
    crop, batch, steps = TINY if context.tiny else (CROP, BATCH, STEPS)
    views = views_of(folder / "demo", crop, 4 * batch, folder / "cache")
    return Scene(folder, NETWORK, crop, batch, steps, 0 if context.tiny else 1, views)


def _bare(network: torch.nn.Module, scene: Scene, config: TrainConfig) -> Work:
    """As many steps on batches that are there: the same crops, in the same order."""
    batches = SeededBatches(len(scene.views), scene.batch, scene.steps, seed=0)
    made = list(train_loader(scene.views, batches, workers=0))

    def work() -> None:
        job = make_job((), 10**6, scene.batch)
        training = Training(network, job, config, scene.folder / "none.pt", IGNORE)
        for batch in made:
            training._one_step(batch, lambda: None)

    return work


def _compiled(context: Context, scene: Scene) -> tuple[Work, float]:
    """The loop with a network that torch.compile has, and the seconds of its first training of two steps."""
    network, _ = make_network(context.device, NETWORK)
    network.compile()
    first = ours_of(network, replace(scene, steps=2), TrainConfig())
    return ours_of(network, scene, TrainConfig()), seconds(first, context.device)


def train_light(context: Context) -> list[Row]:
    """Trainings of 30 steps, loader and checkpoint included."""
    with tempfile.TemporaryDirectory() as name:
        scene = _scene(context, Path(name))
        rows = [_against_reference(context, scene), _against_bare(context, scene)]
        return rows + ([] if context.tiny else _variants(context, scene))


def _make(name: str, samples: Samples, goal: Target | None, scene: Scene, note: str, **figures: float) -> Row:
    sizes = {"network": NETWORK, "crop": list(scene.crop), "batch": scene.batch, "steps": scene.steps}
    return make_row(name, samples, goal, sizes, figures=figures, note=note)


def _against_reference(context: Context, scene: Scene) -> Row:
    network, _ = make_network(context.device, NETWORK)
    peer, _ = make_network(context.device, NETWORK, channels_last=False)
    works = ours_of(network, scene, TrainConfig()), as_the_system_has_it(reference_of(peer, scene))
    samples = alternate(*works, context.few(3), context.device)
    note = "peer: a loop as torchvision's references/segmentation has it, same loader, allocator as it is"
    return _make("train-light", samples, Target("at least", 1.3), scene, note)


def _against_bare(context: Context, scene: Scene) -> Row:
    network, _ = make_network(context.device, NETWORK)
    works = ours_of(network, scene, TrainConfig()), _bare(network, scene, TrainConfig())
    samples = alternate(*works, context.few(3), context.device)
    note = "with loader, on decoded images that are kept, and checkpoint; peer: the steps alone"
    return _make("train-light-loader", samples, Target("at most", 1.03), scene, note)


def _variants(context: Context, scene: Scene) -> list[Row]:
    network, half = (make_network(context.device, NETWORK)[0] for _ in range(2))
    compiled, first = _compiled(context, scene)
    works = {
        "fp32": ours_of(network, scene, TrainConfig()),
        "bf16": ours_of(half, scene, TrainConfig(precision="bf16")),
        "compiled": compiled,
    }
    found = in_turns(works, context.few(2), context.device)
    make = partial(_make, scene=scene, goal=None, note="peer: the same loop in fp32, not compiled")
    return [
        make("train-light-bf16", Samples(found["bf16"], found["fp32"])),
        make("train-light-compiled", Samples(found["compiled"], found["fp32"]), seconds_to_compile=first),
    ]
