"""A cycle of a few images in a folder of its own, which is removed: what each part of a run costs here.

It takes the steps of a run, with the network, the sizes and the batches of the configuration: a training of
four epochs, scoring at all stages and at the last one, selection, and two fused epochs. Only trainings on
slices are left out: a step on slices costs what a step on whole images costs.
"""

import copy
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from rws.config import Config
from rws.cost.clock import Timed
from rws.cycle.artifacts import Artifacts
from rws.cycle.context import RunContext
from rws.cycle.setup import Setup, prepare
from rws.cycle.steps import slices, uses_slices, whole
from rws.data.eval_images import eval_loader
from rws.data.sliced_images import sliced_loader
from rws.data.split import Split
from rws.method.score import score_images
from rws.method.select import select_features
from rws.runs.record import CycleRecord, Part
from rws.runtime.bars import say
from rws.runtime.device_memory import peak_bytes

STEPS = 3  # of an epoch, and batches of evaluation
# Of the training whose network says how many slices there are: after fewer it finds too many.
FIRST_EPOCHS = 4


@dataclass(frozen=True)
class Costs:
    """Seconds and bytes of the parts of a run, measured on `images` of its training images.

    step, fused_step: of a training, loader included. start: of a training, beside its steps and evaluation.
    evaluation, look, look_all, select: an image; look is for the last stage alone, select for an image that
    has slices. kept: slices an image. sliced: share of the images that have some. bank: bytes an image.
    network, training: bytes of a trained network's file and of a training's state. memory: its peak.
    """

    images: int
    train: int
    val: int
    step: float
    start: float
    evaluation: float
    network: int
    training: int
    memory: int = 0
    fused_step: float = 0.0
    look: float = 0.0
    look_all: float = 0.0
    select: float = 0.0
    kept: float = 0.0
    sliced: float = 0.0
    bank: float = 0.0


def measure(config: Config) -> Costs:
    """What the parts of a run of this configuration cost here.

    Raises: UserError for whatever would end the run as well, before or in its first steps.
    """
    with tempfile.TemporaryDirectory(prefix="rws-plan-") as folder:
        setup, _ = prepare(_trial_of(config, folder))
        sizes = len(setup.train), len(setup.val)
        batch = setup.config.train
        few = STEPS * max(batch.batch_size, batch.eval_batch_size)
        setup = limited(setup, few, STEPS * batch.eval_batch_size)
        run = RunContext(setup, Artifacts(setup.folder))
        say(f"trying {len(setup.train)} of {sizes[0]} training images, {len(setup.val)} of {sizes[1]} others")
        costs, part = _train(run, *sizes)
        run = replace(run, records=(replace(CycleRecord(0), **part.found, slice_images=0),))
        if uses_slices(config):
            costs = _look(run, costs)
        if config.fusion.enabled and costs.kept:
            costs = _select(run, costs)
            costs = replace(costs, fused_step=_step(whole(run, 1)))
        return replace(costs, memory=peak_bytes(setup.device))


def _trial_of(config: Config, folder: str) -> Config:
    """The configuration with four epochs, no training on slices, and whatever it writes below the folder."""
    train = replace(
        config.train,
        epochs=2,
        first_epochs=FIRST_EPOCHS,
        slice_epochs=0.0,
        eval_every=FIRST_EPOCHS,
        checkpoint_minutes=None,
    )
    return replace(
        config,
        runs=folder,
        name="trial",
        log=(),
        train=train,
        data=replace(config.data, check=False),
        slices=replace(config.slices, missing_images=None),
        cycles=replace(config.cycles, limit=1, delta=0, budget="added", plain=False),
    )


def limited(setup: Setup, train: int, val: int) -> Setup:
    """The setup with so many of its training and its other images."""
    size, transform = setup.config.train.eval_batch_size, setup.card.transform()
    splits = _spread(setup.train, train), _spread(setup.val, val)
    batches = (Timed(eval_loader(split, transform, size, setup.workers)) for split in splits)
    return replace(setup, **dict(zip(("train", "val", "train_batches", "val_batches"), (*splits, *batches))))


def _spread(split: Split, count: int) -> Split:
    """A split with `count` of its images, spread evenly over the list."""
    few = copy.copy(split)
    count = min(count, len(split))
    few.ids = [split.ids[k * len(split) // count] for k in range(count)]
    return few


def _seconds(work: Callable[[], Part]) -> tuple[Part, float]:
    start = time.perf_counter()
    return work(), time.perf_counter() - start


def _step(part: Part) -> float:
    """Seconds of a step after the first epoch."""
    first, *later = part.found["whole"]
    return sum(epoch["seconds_steps"] for epoch in later) / (later[-1]["step"] - first["step"])


def _train(run: RunContext, train: int, val: int) -> tuple[Costs, Part]:
    """Of a training without fusion: it is that of cycle 0."""
    part, seconds = _seconds(lambda: whole(run, 0))
    step, steps = _step(part), part.found["whole"][-1]["step"]
    costs = Costs(
        images=len(run.setup.train),
        train=train,
        val=val,
        step=step,
        start=max(0.0, seconds - steps * step - part.spent.evaluation),
        evaluation=run.setup.val_batches.each,
        network=run.artifacts.left("whole", 0).stat().st_size,
        training=run.artifacts.training.stat().st_size,
    )
    run.artifacts.forget_training()
    return costs, part


def _look(run: RunContext, costs: Costs) -> Costs:
    """Of scoring, by the network that was trained; the slices are left for later steps."""
    scored, batches, config = run.scored(run.network(0)), run.setup.train_batches, run.config.slices
    score_images(scored, batches, None, config)
    last = batches.each
    boxes = score_images(scored, batches, run.setup.train.ids, config).boxes
    run.artifacts.write_boxes(0, boxes)
    slices(run, 0)  # without epochs: a copy
    counts = [len(each) for each in boxes.values()]
    return replace(
        costs,
        look=last,
        look_all=batches.each,
        kept=sum(counts) / len(counts),
        sliced=sum(map(bool, counts)) / len(counts),
    )


def _select(run: RunContext, costs: Costs) -> Costs:
    """Of selection, and the bank that it leaves."""
    config, networks = run.config, (run.network(0), run.network(0, "slices"))
    images = Timed(sliced_loader(run.sliced_images(run.artifacts.boxes(0)), run.setup.workers))
    bank, size = run.artifacts.left("select", 0), config.train.eval_batch_size
    precision = "winner" if config.bank.online else config.bank.precision
    select_features(*map(run.scored, networks), images, bank, size, precision)
    return replace(costs, select=images.each, bank=_bytes(bank) / costs.images)


def _bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
