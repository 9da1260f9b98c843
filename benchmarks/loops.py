"""train-light: the loop with the light network against torchvision's and bare steps: 30 after the first."""

import tempfile
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch

from benchmarks.inputs import IGNORE, make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.steps import make_job
from benchmarks.timing import (
    Samples,
    Work,
    alternate,
    as_the_system_has_it,
    in_turns,
    seconds,
    told_by_itself,
)
from benchmarks.training import Scene, ours_of, reference_of, views_of
from rws.config import TrainConfig
from rws.data.batches import SeededBatches
from rws.data.views import train_loader
from rws.training.training import Training

NETWORK = "deeplabv3_efficientnet_lite0"
CROP, BATCH, STEPS = (224, 224), 4, 31
TINY = (64, 64), 2, 3


def _scene(context: Context, folder: Path) -> Scene:
    crop, batch, steps = TINY if context.tiny else (CROP, BATCH, STEPS)
    views = views_of(folder / "demo", crop, 4 * batch, folder / "cache")
    return Scene(folder, NETWORK, crop, batch, steps, 0 if context.tiny else 1, views)


def _ours(network: torch.nn.Module, scene: Scene, config: TrainConfig) -> Work:
    """Our loop; its seconds after the first step, in which the loader's processes start."""
    job = replace(
        make_job(scene.views, scene.steps, scene.batch, scene.workers), steps_before=scene.steps - 1
    )
    return lambda: Training(network, job, config, scene.folder / "ours.pt", IGNORE).run()[-1]["seconds_steps"]


def _bare(network: torch.nn.Module, scene: Scene, config: TrainConfig) -> Work:
    """As many steps on batches that are there: the same crops, in the same order."""
    batches = SeededBatches(len(scene.views), scene.batch, scene.steps, seed=0)
    made = list(train_loader(scene.views, batches, workers=0))

    def work() -> float:
        job = make_job((), 10**6, scene.batch)
        training = Training(network, job, config, scene.folder / "none.pt", IGNORE)
        ends = []
        for batch in made:
            training._one_step(batch, lambda: None)
            ends.append(time.perf_counter())
        return ends[-1] - ends[0]

    return work


def _compiled(context: Context, scene: Scene) -> tuple[Work, float]:
    """The loop with a network that torch.compile has, and the seconds of its first training of two steps."""
    network, _ = make_network(context.device, NETWORK)
    network.compile()
    first = ours_of(network, replace(scene, steps=2), TrainConfig())
    return _ours(network, scene, TrainConfig()), seconds(first, context.device)


def train_light(context: Context) -> list[Row]:
    """Steps of trainings after their first, loader included."""
    with tempfile.TemporaryDirectory() as name:
        scene = _scene(context, Path(name))
        rows = [_against_reference(context, scene), _against_bare(context, scene)]
        return rows + ([] if context.tiny else _variants(context, scene))


def _make(name: str, samples: Samples, goal: Target | None, scene: Scene, note: str, **figures: float) -> Row:
    sizes = {"network": NETWORK, "crop": list(scene.crop), "batch": scene.batch, "steps": scene.steps - 1}
    return make_row(name, samples, goal, sizes, figures=figures, note=note)


def _against_reference(context: Context, scene: Scene) -> Row:
    network, _ = make_network(context.device, NETWORK)
    peer, _ = make_network(context.device, NETWORK, channels_last=False)
    works = _ours(network, scene, TrainConfig()), as_the_system_has_it(reference_of(peer, scene))
    samples = alternate(*works, context.few(3), context.device, measure=told_by_itself)
    note = "peer: a loop as torchvision's references/segmentation has it, same loader, allocator as it is"
    return _make("train-light", samples, Target("at least", 1.3), scene, note)


def _against_bare(context: Context, scene: Scene) -> Row:
    network, _ = make_network(context.device, NETWORK)
    works = _ours(network, scene, TrainConfig()), _bare(network, scene, TrainConfig())
    samples = alternate(*works, context.few(3), context.device, measure=told_by_itself)
    note = "with loader, on decoded images that are kept; peer: the steps alone"
    return _make("train-light-loader", samples, Target("at most", 1.03), scene, note)


def _variants(context: Context, scene: Scene) -> list[Row]:
    network, half = (make_network(context.device, NETWORK)[0] for _ in range(2))
    compiled, first = _compiled(context, scene)
    works = {
        "fp32": _ours(network, scene, TrainConfig()),
        "bf16": _ours(half, scene, TrainConfig(precision="bf16")),
        "compiled": compiled,
    }
    found = in_turns(works, context.few(2), context.device, measure=told_by_itself)
    make = partial(_make, scene=scene, goal=None, note="peer: the same loop in fp32, not compiled")
    return [
        make("train-light-bf16", Samples(found["bf16"], found["fp32"])),
        make("train-light-compiled", Samples(found["compiled"], found["fp32"]), seconds_to_compile=first),
    ]
