"""A network that a person names, ready to predict: a checkpoint, a published network, or one of their own."""

import difflib
from collections.abc import Collection
from pathlib import Path

from torch import nn

from rws.core.auto_stages import automatic_stages
from rws.data.classes import named_classes
from rws.errors import UserError
from rws.models import FAMILIES, find_family, is_own
from rws.models.own_networks import FORM, used_network
from rws.runs.card import Card
from rws.runs.checkpoint import no_checkpoint
from rws.runs.model_file import load_trained
from rws.runs.published import BASE_SIZE, PUBLISHED, load_published

ENDINGS = (".pt", ".pth")  # of checkpoints


def open_network(
    what: str | Path, trusted: Collection[str] = (), *, weights_dir: str | Path = "weights"
) -> tuple[nn.Module, Card]:
    """The network of a name in eval mode, and its card.

    what: the file of a network of a run, a name of PUBLISHED, or `path.to.module:factory`, code that is run
    because a person names it here. trusted: networks of one's own that a file may ask for. weights_dir: where
    published weights are looked for first.

    Raises: UserError for a name that nothing has, and for what cannot be read, got or run.
    """
    name, path = str(what), as_file(what)
    if path is not None:
        return load_trained(path, trusted)  # which says where it is not there
    if name in PUBLISHED:
        return load_published(name, weights_dir)
    if is_own(name):
        return _own_network(name)
    raise UserError(f"{name}: {_unknown(name)}")


def as_file(what: str | Path) -> Path | None:
    """The file that is meant, whether it is there or not; None for a name."""
    path, name = Path(what), str(what)
    looks_so = isinstance(what, Path) or "/" in name or name.endswith(ENDINGS)
    return path if looks_so or path.is_file() else None


def _unknown(name: str) -> str:
    """Why there is no network of a name, and which there are."""
    there = f"give the checkpoint of a run, {FORM}, or one of {', '.join(PUBLISHED)}"
    if name in FAMILIES or name.startswith(("smp:", "timm:")):
        return f"has no published weights for all of its layers; train it, or {there}"
    if Path(name).is_dir():
        return no_checkpoint(Path(name))
    near = difflib.get_close_matches(name, PUBLISHED, n=1, cutoff=0.0)[0]
    return f"no file and no network of this name; did you mean {near}? Else {there}"


def _own_network(name: str) -> tuple[nn.Module, Card]:
    """The network that a factory of one's own makes as it is to be used.

    Raises: UserError.
    """
    try:
        network, names = used_network(name)
    except UserError as error:
        raise UserError(str(error).removeprefix("--model.name ")) from error
    stages = find_family(name).stages or found_stages(network)
    return network.eval(), Card(name, False, stages, named_classes(names), BASE_SIZE)


def found_stages(network: nn.Module) -> tuple[str, ...]:
    """The stages that are found in a network; none where there are not two, which prediction does without."""
    try:
        return automatic_stages(network)
    except (ValueError, TypeError, RuntimeError):
        return ()
