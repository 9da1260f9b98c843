"""From the configuration to the trainings of a cycle: on whole images, of the plain network, on slices."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from torch import nn

from rws.core.fusion import identity_coordinates
from rws.cycle.context import Epoch, RunContext
from rws.data.batches import steps_per_epoch
from rws.data.targets import TaughtViews
from rws.data.transforms import train_transform
from rws.data.views import TrainViews, View
from rws.errors import UserError
from rws.method.bank import Bank
from rws.method.fuse import BankFusion, FusionSchedule
from rws.method.online import OnlineFusion, SliceReader
from rws.runs.record import Spent, shown, training_key
from rws.runtime.seeding import derive_seed
from rws.training.evaluation import evaluate
from rws.training.job import Curve, Job
from rws.training.training import Training


@dataclass(frozen=True)
class Trained:
    """A training that has ended: an entry for each epoch, and the seconds that it took."""

    history: list[dict]
    spent: Spent

    @property
    def steps(self) -> int:
        """Steps that were taken: fewer than planned where `early_stop` ended it."""
        return self.history[-1]["step"]


def train(run: RunContext, step: str, k: int, network: nn.Module, job: Job) -> Trained:
    """Train a network, tell the hooks of each epoch, and keep the network.

    Raises: UserError for a loss that is not finite, Interrupted.
    """
    before = sum(record.images_seen for record in run.records)

    def after_epoch(record: dict) -> None:
        epoch = Epoch(step, k, network, before + record["step"] * job.batch_size, record)
        for hook in run.hooks:
            hook.after_epoch(run, epoch)

    card = run.setup.card
    path, ignored = run.artifacts.training, card.classes.ignore_index
    training = Training(network, job, run.config.train, path, ignored)
    history = training.run(after_epoch)
    run.artifacts.save(step, k, network, card, history[-1])
    seconds = [sum(r.get(key, 0.0) for r in history) for key in ("seconds_steps", "seconds_eval")]
    return Trained(history, Spent(training.seconds_before, *seconds))


def whole_job(run: RunContext, k: int, network: nn.Module, bank: Bank | None) -> Job:
    """The training of `network` on whole images: step 5, fused with a bank where there is one."""
    config, ids = run.config.train, run.setup.train.ids
    slices = _slice_views(run, k - 1) if k and config.slice_mix else []
    attach = _reader(run, k, bank) if bank else None
    views = _views(run, [*(View(i) for i in ids), *slices], attach)
    steps = whole_steps(run, k)
    job = replace(_job(run, "whole", k, views, steps, slices=len(slices)), curve=_curve(run, k, steps))
    if slices:
        job = replace(job, slice_mix=config.slice_mix)
    if k and run.config.teaches:
        job = _taught(run, k, job)
    if k:
        job = replace(job, steps_before=config.epochs * job.steps_per_epoch - steps)
    return _fused(run, k, job, network, bank) if bank else job


def whole_steps(run: RunContext, k: int) -> int:
    """Steps of the training on whole images of cycle k.

    Raises: UserError when the slices have used up a cycle's images.
    """
    train = run.config.train
    epochs = (train.first_epochs or train.epochs) if k == 0 else train.epochs
    within = k > 0 and run.config.cycles.budget == "within"
    taken = run.records[k - 1].slice_images or 0 if within else 0
    steps = epochs * steps_per_epoch(len(run.setup.train.ids), train.batch_size) - taken // train.batch_size
    if steps < 1:
        raise UserError(
            f"cycles.budget within: the slices took {taken} images, all that {epochs} epochs hold; "
            "lower train.slice_epochs"
        )
    return steps


def _epoch_steps(run: RunContext, epochs: int) -> int:
    return epochs * steps_per_epoch(len(run.setup.train.ids), run.config.train.batch_size)


def _curve(run: RunContext, k: int, steps: int) -> Curve | None:
    """The part of the learning rate's one fall, `steps` long, that ends with cycle k; None for a whole."""
    train, cycles = run.config.train, run.config.cycles
    if not cycles.annealed_once:
        return None
    first = train.first_epochs or train.epochs
    last = _epoch_steps(run, first + k * train.epochs)
    return Curve(last - steps, last, _epoch_steps(run, first + cycles.limit * train.epochs))


def plain_images(run: RunContext, k: int) -> int:
    """Images that RWS has seen since the plain network's training before cycle k, slices included."""
    return run.records[k].whole_images + (run.records[k - 1].slice_images or 0)


def plain_job(run: RunContext, k: int) -> Job:
    """The training of the plain network, on as many images as RWS saw."""
    views = _views(run, [View(i) for i in run.setup.train.ids])
    job = _job(run, "plain", k, views, plain_images(run, k) // run.config.train.batch_size)
    return replace(job, curve=_curve(run, k, _epoch_steps(run, run.config.train.epochs)))


def slices_job(run: RunContext, k: int) -> Job:
    """The training of a copy on the weak slices: step 3."""
    train = run.config.train
    views = _views(run, _slice_views(run, k))
    steps = max(1, round(train.slice_epochs * steps_per_epoch(len(views), train.batch_size)))
    return replace(_job(run, "slices", k, views, steps), evaluate=None)


def _job(run: RunContext, step: str, k: int, views: TrainViews, steps: int, *, slices: int = 0) -> Job:
    """What all trainings have in common; the last `slices` of the views are no whole images."""
    config, key = run.config.train, training_key(step, k)
    return Job(
        key=key,
        title=shown(step, k),
        views=views,
        steps=steps,
        steps_per_epoch=steps_per_epoch(len(views) - slices, config.batch_size),
        batch_size=config.batch_size,
        seed=derive_seed(run.config.seed, key),
        workers=run.setup.workers,
        evaluate=lambda network: evaluate(network, run.setup.val_batches, run.setup.card.classes),
        slices=slices,
        class_weights=run.setup.class_weights,
    )


def _views(
    run: RunContext, views: Sequence[View], attach: Callable[[str], object] | None = None
) -> TrainViews:
    card = run.setup.card
    transform = train_transform(run.setup.geometry, card.normalisation, card.classes.ignore_index)
    coordinates = identity_coordinates if attach else None
    share = run.config.data.copy_paste
    return TrainViews(run.setup.train, views, transform, coordinates, attach, share)


def _slice_views(run: RunContext, k: int) -> list[View]:
    return [View(i, box) for i, each in run.artifacts.boxes(k).items() for box in each]


def _taught(run: RunContext, k: int, job: Job) -> Job:
    """A training in which photographs without labels have a share in each batch, in strong views."""
    card, photographs = run.setup.card, run.setup.photographs
    # A pipeline of one's own does not know targets.
    geometry = replace(run.setup.geometry, augment="strong", albumentations=None)
    transform = train_transform(geometry, card.normalisation, card.classes.ignore_index)
    views = TaughtViews(job.views, photographs, run.artifacts.targets(k - 1), transform)
    return replace(job, views=views, slices=len(photographs), slice_mix=run.config.train.unlabelled_share)


# Fusion.


def _reader(run: RunContext, k: int, bank: Bank) -> Callable[[str], object]:
    """What reads the rows that travel with an image of a batch."""
    if not run.config.bank.online:
        return bank.read
    return SliceReader(bank, run.sliced_images(run.artifacts.boxes(k - 1)))


def _fused(run: RunContext, k: int, job: Job, network: nn.Module, bank: Bank) -> Job:
    """A training with the forward passes of `network` fused with a bank."""
    config, crop = run.config.fusion, run.config.data.crop_size
    if run.config.bank.online:
        fusion = OnlineFusion(bank, network, crop, config.stages, sliced=run.network(k - 1, "slices"))
    else:
        fusion = BankFusion(bank, network, crop, config.stages)
    schedule = FusionSchedule(fusion, config.mode, job.steps, derive_seed(run.config.seed, job.key))
    return replace(job, fusion=schedule)
