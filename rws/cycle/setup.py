"""From a configuration to what a run works with; what can be wrong is found here, before any training."""

import copy
import os
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.utils.data import DataLoader

from rws.config import Config, DataConfig, ModelConfig
from rws.core.auto_stages import automatic_stages
from rws.core.cam import seg_grad_cam
from rws.core.stages import find_stages
from rws.data import Reading, Split, open_split, require_official
from rws.data.check import check_split
from rws.data.eval_images import eval_loader
from rws.data.transforms import Geometry
from rws.errors import UserError
from rws.models import LoadReport, build_network, find_family
from rws.runs.checkpoint import write_json
from rws.runs.identity import check_folder, claim_folder
from rws.runs.log import environment
from rws.runs.model_file import Card
from rws.runtime.device import choose_device, memory_format, to_network
from rws.runtime.distributed import barrier, is_first, world
from rws.runtime.seeding import derive_seed


@dataclass(frozen=True, eq=False)
class Setup:
    """What every step of a run works with; the batches hold each image of a split once, for evaluation."""

    config: Config
    folder: Path
    train: Split
    val: Split
    card: Card
    device: torch.device
    workers: int
    train_batches: DataLoader
    val_batches: DataLoader

    @property
    def geometry(self) -> Geometry:
        """Sizes of the images that the network sees."""
        data = self.config.data
        return Geometry(data.base_size, data.crop_size, data.scale, data.hflip)


def make_network(config: Config, num_classes: int, device: torch.device) -> tuple[nn.Module, LoadReport]:
    """The initial network, the same each time: weights from the file, the rest drawn from the run's seed.

    Raises: UserError for an unknown network or weights that do not fit.
    """
    torch.manual_seed(derive_seed(config.seed, "initial weights"))
    model = config.model
    network, report = build_network(
        model.name, num_classes, aux=model.aux, weights=model.weights, weights_dir=model.weights_dir
    )
    return network.to(device, memory_format=memory_format(model.channels_last)), report


def open_list(data: DataConfig, split: str, list_name: str) -> Split:
    """The images of a list, read as the configuration says.

    Raises: UserError for a missing root or list, and for a set that is not whole without data.partial.
    """
    opened = open_split(
        data.name,
        data.root,
        split,
        category=data.category,
        list_name=None if list_name == split else list_name,
        lists_dir=data.lists_dir,
        reading=Reading(data.convert_rgb_labels, data.cache, data.val_share, data.split_seed),
    )
    if not data.partial:
        require_official(opened)
    return opened


def open_splits(data: DataConfig) -> tuple[Split, Split]:
    """The training and the validation split.

    Raises: as `open_list`.
    """
    return open_list(data, "train", data.train_list), open_list(data, "val", data.val_list)


def stages_of(model: ModelConfig, network: nn.Module) -> tuple[str, ...]:
    """The stages that the configuration names, or else the family, or else those found in the network.

    Raises: UserError for a network in which none can be found.
    """
    named = model.stages or find_family(model.name).stages
    if named:
        return tuple(named)
    try:
        return automatic_stages(network)
    except (ValueError, TypeError, RuntimeError) as error:
        raise UserError(
            f"--model.name {model.name}: {' '.join(str(error).split())}; or name them with --model.stages"
        ) from error


def check_stages(network: nn.Module, stages: tuple[str, ...], size: tuple[int, int]) -> None:
    """The stages are there, put out one tensor each, and lead to the logits."""
    if len(set(stages)) < len(stages):
        raise UserError(f"model.stages: {list(stages)} names a stage twice; name each once")
    image = to_network(torch.zeros(1, 3, *size), network)
    label = torch.zeros(1, *size, dtype=torch.long, device=image.device)
    try:
        seg_grad_cam(network, find_stages(network, stages), image, label, [0])
    except KeyError as error:
        raise UserError(f"model.stages: {error.args[0]}") from error
    except (TypeError, RuntimeError) as error:
        raise UserError(f"model.stages {list(stages)}: {error}; name the backbone's stages") from error


def _check_batch_size(config: Config) -> None:
    if config.train.batch_size % world():
        raise UserError(
            f"train.batch_size {config.train.batch_size} cannot be shared out among {world()} processes; "
            f"set --train.batch-size to a multiple of {world()}"
        )


def _check_fused(chosen: list[str] | None, stages: tuple[str, ...]) -> None:
    if chosen is not None and (not chosen or not set(chosen) <= set(stages)):
        raise UserError(f"fusion.stages {chosen}: must be some of the stages {list(stages)}, or null for all")


def _check_batch_norm(network: nn.Module, config: Config, device: torch.device) -> None:
    """Batch normalisation after global pooling (ASPP) sees one value a channel in a batch of one."""
    if config.train.batch_size > world():
        return
    height, width = config.data.crop_size
    try:
        copy.deepcopy(network).train()(torch.zeros(1, 3, height, width, device=device))
    except ValueError as error:
        raise UserError(
            "train.batch_size 1: the network normalises over the batch after pooling to one value (ASPP), "
            "which needs at least two images; set --train.batch-size 2 or more"
        ) from error


def prepare(config: Config, *, resume: bool = False, overwrite: bool = False) -> tuple[Setup, LoadReport]:
    """Open and check the data, the network and the run's folder.

    Raises: UserError, in one line, for whatever is wrong.
    """
    existing = {"resume": resume, "overwrite": overwrite}
    check_folder(config, **existing)
    _check_batch_size(config)
    device = choose_device(config.device)
    train, val = open_splits(config.data)
    network, loaded = make_network(config, train.classes.num_classes, device)
    stages = stages_of(config.model, network)
    card = Card(config.model.name, config.model.aux, stages, train.classes, config.data.base_size)
    check_stages(network, card.stages, config.data.crop_size)
    _check_fused(config.fusion.stages, card.stages)
    _check_batch_norm(network, config, device)
    if config.data.check:
        _check_labelled(train)
        _check_labelled(val)
    workers = config.data.workers
    workers = min(8, os.cpu_count() or 1) if workers is None else workers
    batch = config.train.eval_batch_size
    train_batches, val_batches = (eval_loader(s, card.transform(), batch, workers) for s in (train, val))
    barrier()  # all have seen the folder as it was
    folder = claim_folder(config, **existing) if is_first() else Path(config.runs) / config.name
    barrier()
    write_json(folder / "env.json", environment(device))
    return Setup(config, folder, train, val, card, device, workers, train_batches, val_batches), loaded


def _check_labelled(split: Split) -> None:
    if not check_split(split).pixels.any():
        raise UserError(f"{split.root}: the labels of {split.split} hold ignored pixels only; label them")
