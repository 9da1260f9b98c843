"""The published networks of torchvision, trained on COCO with VOC's classes, and where their weights lie."""

from pathlib import Path

import torch
from torch import nn

from rws.data.classes import VOC2012
from rws.data.download.fetch import Remote, fetch
from rws.errors import UserError
from rws.models import FAMILIES, build_network, torchvision_networks
from rws.runs.card import Card
from rws.runtime.bars import say

PUBLISHED = tuple(torchvision_networks.FAMILIES)
BASE_SIZE = 520  # the short side in pixels of torchvision's own preset


def load_published(name: str, folder: str | Path = "weights") -> tuple[nn.Module, Card]:
    """A network of PUBLISHED in eval mode, without its auxiliary head.

    Raises: UserError for weights that are damaged, or cannot be had.
    """
    path = weights_of(name, Path(folder))
    network, _ = build_network(name, VOC2012.num_classes, aux=False, weights=str(path))
    return network.eval(), Card(name, False, FAMILIES[name].stages, VOC2012, BASE_SIZE)


def weights_of(name: str, folder: Path) -> Path:
    """The file of weights of a network: in `folder`, else in torch.hub's cache, else downloaded into that.

    Raises: UserError where it is nowhere and cannot be downloaded.
    """
    ours, theirs = FAMILIES[name].file_names
    cache = Path(torch.hub.get_dir()) / "checkpoints"
    for path in (folder / ours, folder / theirs, cache / theirs):
        if path.is_file():
            return path
    return _downloaded(name, cache / theirs, folder / ours)


def _downloaded(name: str, path: Path, by_hand: Path) -> Path:
    """Download weights to `path`.

    Raises: UserError, which says how to get them to `by_hand` where not a byte can be received.
    """
    family = FAMILIES[name]
    say(f"{name}: downloading its published weights, {family.download}, once, into {path.parent}")
    remote = Remote(family.download, f"sha256:{family.sha256_prefix}", "torchvision")
    try:
        return fetch(remote, path, tries=1)
    except UserError as error:
        if path.with_name(f"{path.name}.part").is_file():
            raise  # some of it is there
        raise _not_to_be_had(name, by_hand, error) from error
    except OSError as error:
        raise _not_to_be_had(name, by_hand, error) from error


def _not_to_be_had(name: str, by_hand: Path, error: Exception) -> UserError:
    reason = str(error).split("; ")[0]
    return UserError(
        f"{name}: its weights are neither {by_hand} nor in torch.hub's cache, and the download failed "
        f"({reason}); run `rws download {name}` elsewhere, and put the file there"
    )
