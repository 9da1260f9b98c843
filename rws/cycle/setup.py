"""From a configuration to what a run works with; what can be wrong is found here, before any training."""

import copy
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import torch
from torch import nn

from rws.config import Config, DataConfig
from rws.core.fusion import identity_coordinates
from rws.cycle.artifacts import Artifacts
from rws.cycle.room import check_room
from rws.data import ClassSet, Split
from rws.data.batches import steps_per_epoch
from rws.data.check import check_splits
from rws.data.eval_images import eval_loader
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.unlabelled import check_photographs
from rws.data.views import TrainViews, View
from rws.errors import UserError
from rws.method.stages import check_stages, stages_of
from rws.models import LoadReport
from rws.runs.begun import Begun, agreed, begun_with
from rws.runs.checkpoint import write_json
from rws.runs.identity import check_folder, claim_folder, has_configuration, is_run
from rws.runs.log import environment
from rws.runs.loggers import check_loggers
from rws.runs.model_file import Card
from rws.runs.network import make_network
from rws.runs.splits import open_all
from rws.runtime.bars import say
from rws.runtime.device import choose_device
from rws.runtime.distributed import barrier, is_first, of_first, world
from rws.runtime.loading import Loader, processes_for
from rws.training.class_weights import check_class_weights, class_weights
from rws.training.losses import check_losses


@dataclass(frozen=True, eq=False)
class Setup:
    """What every step of a run works with; the batches hold each image of a split once, for evaluation.

    changes: what a person has changed since the run was begun, in words.
    class_weights: of the classes in the cross-entropy; None counts every pixel the same.
    photographs: those without labels; None where there are none.
    """

    config: Config
    folder: Path
    train: Split
    val: Split
    card: Card
    device: torch.device
    workers: int
    train_batches: Loader
    val_batches: Loader
    changes: tuple[str, ...] = ()
    class_weights: tuple[float, ...] | None = None
    photographs: Split | None = None

    @property
    def geometry(self) -> Geometry:
        """Sizes of the images that the network sees."""
        return geometry_of(self.config.data)


def prepare(
    config: Config, *, resume: bool = False, overwrite: bool = False, with_changes: bool = False
) -> tuple[Setup, LoadReport]:
    """Check the options, open the data, build the network, claim the folder: in this order.

    with_changes: a run that is resumed goes on although it was begun with other data or code.

    Raises: UserError, in one line, for whatever is wrong.
    """
    existing = {"resume": resume, "overwrite": overwrite}
    check_folder(config, **existing, with_changes=with_changes)
    check_processes(config)
    check_room(config)
    check_loggers(config.log)
    check_losses(config.train.losses)
    workers = processes_for(config.data.workers)
    device = choose_device(config.device)
    train, val, photographs = open_all(config.data)
    check_class_weights(config.train.class_weights, train.classes.names)
    network, loaded = make_network(config, train.classes.num_classes, device)
    card = check_network(network, config, train.classes, device)
    card = replace(card, levels=train.reading.levels and train.reading.levels.ends)
    with_these = of_first(lambda: agree(config, (train, val, photographs), network, resume, with_changes))
    if isinstance(with_these, UserError):
        raise with_these
    if config.data.check:
        check_splits(train, val, allow_leak=config.data.allow_leak)
        if photographs is not None:
            check_photographs(photographs, val, allow_leak=config.data.allow_leak)
    check_pipeline(config.data, train)
    folder = claim(config, device, with_these, **existing)
    weights = class_weights(config.train.class_weights, train, Artifacts(folder).class_weights)
    batch = config.train.eval_batch_size
    batches = (eval_loader(s, card.transform(), batch, workers) for s in (train, val))
    more = (with_these.changes, weights, photographs)
    config = with_epochs(config, len(train))
    return Setup(config, folder, train, val, card, device, workers, *batches, *more), loaded


def geometry_of(data: DataConfig) -> Geometry:
    """Sizes of the images that the network sees, and how training crops are changed."""
    sizes = (data.base_size, data.crop_size, data.scale, data.hflip)
    return Geometry(*sizes, data.augment, data.albumentations)


def with_epochs(config: Config, images: int) -> Config:
    """The configuration with a number of epochs: for auto as many as show `train.images` to the network."""
    train = config.train
    if train.epochs != "auto":
        return config
    an_epoch = steps_per_epoch(images, train.batch_size) * train.batch_size
    return replace(config, train=replace(train, epochs=-(-train.images // an_epoch)))


def uses_slices(config: Config) -> bool:
    """Whether anything in a run uses weak slices."""
    return config.fusion.enabled or config.train.slice_mix > 0


# Check: what needs neither data nor network; options that contradict each other have been refused by now.


def check_processes(config: Config) -> None:
    """Refuse a batch that cannot be shared out among the processes.

    Raises: UserError.
    """
    parts = config.train.accumulate
    if config.train.batch_size % (world() * parts):
        each = f" in {parts} parts each" if parts > 1 else ""
        raise UserError(
            f"train.batch_size {config.train.batch_size} cannot be shared out among {world()} processes"
            f"{each}; set --train.batch-size to a multiple of {world() * parts}"
        )


def check_pipeline(data: DataConfig, train: Split) -> None:
    """Try a pipeline of albumentations, if there is one, on the first training image.

    Raises: UserError for a file that cannot be taken, and for a pipeline that fails.
    """
    if data.albumentations is not None:
        any_will_do = Normalisation((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))
        transform = train_transform(geometry_of(data), any_will_do, train.classes.ignore_index)
        views = TrainViews(train, [View(train.ids[0])], transform, identity_coordinates)
        for seed in range(4):
            views[0, seed]


# Build: the network, once, to see that it can be trained.


def check_network(network: nn.Module, config: Config, classes: ClassSet, device: torch.device) -> Card:
    """Try the initial network; its card.

    Raises: UserError.
    """
    stages, notes = _stages(network, config)
    if is_first():
        say(*(f"note: {note}" for note in (*getattr(network, "notes", ()), *notes)))
    chosen = config.fusion.stages
    if chosen is not None and (not chosen or not set(chosen) <= set(stages)):
        raise UserError(f"fusion.stages {chosen}: must be some of the stages {list(stages)}, or null for all")
    _check_batch_norm(network, config, device)
    return Card(config.model.name, config.model.aux, stages, classes, config.data.base_size)


def _stages(network: nn.Module, config: Config) -> tuple[tuple[str, ...], list[str]]:
    """The stages, and what to say of them; none are needed where nothing looks at heat maps.

    Raises: UserError.
    """
    try:
        stages = stages_of(config.model, network)
    except UserError:
        if uses_slices(config) or config.cam_vis:
            raise
        return (), [f"--model.name {config.model.name}: has no stages, so there are no heat maps of it"]
    check_stages(network, stages, config.data.crop_size)
    return stages, []


def _check_batch_norm(network: nn.Module, config: Config, device: torch.device) -> None:
    """Batch normalisation after global pooling (ASPP) sees one value a channel in a batch of one."""
    parts = world() * config.train.accumulate
    if config.train.batch_size > parts:
        return
    height, width = config.data.crop_size
    try:
        copy.deepcopy(network).train()(torch.zeros(1, 3, height, width, device=device))
    except ValueError as error:
        raise UserError(
            "train.batch_size 1: the network normalises over the batch after pooling to one value (ASPP), "
            "which needs at least two images; set --train.batch-size 2 or more"
        ) from error


# Claim: the run's folder.


def agree(
    config: Config, splits: Sequence[Split | None], network: nn.Module, resume: bool, with_changes: bool
) -> Begun | UserError:
    """What the run works with, held against what it was begun with where it goes on; or why it cannot."""
    artifacts = Artifacts(Path(config.runs) / config.name)
    now = begun_with(splits, network, config.model.name, config.data.albumentations)
    if not (resume and is_run(artifacts.folder)) or artifacts.is_untouched():
        return now
    more = [] if has_configuration(artifacts.folder) else ["its configuration was damaged"]
    try:
        return agreed(artifacts.begun, now, place=artifacts.place(), more=more, with_changes=with_changes)
    except UserError as error:
        return error


def claim(config: Config, device: torch.device, with_these: Begun, **existing: bool) -> Path:
    """Make the run's folder, or take over that of the run that goes on; leaves env.json in it."""
    barrier()  # all processes have seen the folder as it was
    folder = claim_folder(config, **existing) if is_first() else Path(config.runs) / config.name
    write_json(Artifacts(folder).begun, asdict(with_these))
    barrier()
    write_json(folder / "env.json", environment(device))
    return folder
