"""`rws.load`: a checkpoint, a published network, code of one's own, or a module at hand, ready to be used."""

import copy
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from torch import nn

from rws.api.network import Network
from rws.data.classes import named_classes
from rws.data.transforms import Normalisation
from rws.errors import UserError
from rws.models import IMAGENET_MEAN, IMAGENET_STD
from rws.models.own_networks import made_fit
from rws.predict.backends import in_backend
from rws.predict.inference import prepare_for_prediction
from rws.predict.predictor import Predictor, titles_of
from rws.predict.ways import TORCH, PredictOptions, backend_device
from rws.runs.card import Card
from rws.runs.open_network import found_stages, open_network
from rws.runs.published import BASE_SIZE
from rws.runtime.bars import say
from rws.runtime.device import choose_device

Levels3 = tuple[float, float, float]
IMAGENET = (IMAGENET_MEAN, IMAGENET_STD)


@dataclass(frozen=True)
class ModuleCard(Card):
    """The card of a module that somebody has at hand: no family says how its input is normalised."""

    mean_and_std: tuple[Levels3, Levels3] = IMAGENET

    @property
    def normalisation(self) -> Normalisation:
        return Normalisation(*self.mean_and_std)


@contextmanager
def _told_in_python() -> Iterator[None]:
    """Errors name arguments, where commands name flags."""
    try:
        yield
    except UserError as error:
        raise UserError(_plain(str(error))) from error


def _plain(message: str) -> str:
    """A message without the flag with which it begins."""
    return message.removeprefix("--model.name ").removeprefix("--")


@_told_in_python()
def load(
    what: str | Path | nn.Module,
    *,
    classes: Sequence[str] | None = None,
    stages: Sequence[str] | None = None,
    base_size: int | None = None,
    normalisation: tuple[Levels3, Levels3] | None = None,
    device: str = "auto",
    backend: str = TORCH,
    trusted: Collection[str] = (),
) -> Network:
    """A network that segments photographs: `load("runs/demo/best.pt")("photo.jpg")`.

    Args:
        what: the checkpoint of a run; the name of a published network of torchvision, "deeplabv3_resnet50";
            `path.to.module:factory`, code of yours; or any nn.Module that maps images (N, 3, H, W) to logits,
            bare or as {"out": logits}. Of a module a copy is taken, so it stays as it is.
        classes: names of the classes, in the order of the logits; one that is called "background" is not
            tinted. A module without them has numbers.
        stages: names of the modules whose heat maps are shown; those that are known or found unless given.
        base_size: the short side in pixels to which a photograph is resized; that of its training, else 520.
        normalisation: mean and standard deviation of the colours, of a module alone; those of ImageNet.
        device: auto, cpu, cuda or cuda:N.
        backend: the program that runs the network, "torch", "onnxruntime", "openvino" or "openvino-bf16"; the
            others are faster on a CPU, and show no heat maps.
        trusted: networks of your own, `path.to.module:factory`, that a checkpoint may ask for.

    Raises: UserError for what cannot be found, read, downloaded or used, in one line with the way out.
    """
    if not isinstance(what, str | Path | nn.Module):
        raise UserError(f"a {type(what).__name__} is no network: give a file, a name or a torch.nn.Module")
    on = choose_device(backend_device(backend, device))
    if isinstance(what, nn.Module):
        title = type(what).__name__
        network, card = _of_module(what, normalisation or IMAGENET)
    elif normalisation is not None:
        raise UserError(f"normalisation: is for a torch.nn.Module; {what} has its own")
    else:
        network, card = open_network(what, trusted)
        (title,) = titles_of([what])
    say(*(f"note: {_plain(note)}" for note in getattr(network, "notes", ())))
    shown = _with(card, title, classes, stages, base_size)
    name = title if isinstance(what, nn.Module) else what
    network = in_backend(prepare_for_prediction(network, on), card, backend, name)
    return Network(Predictor(title, network, shown, PredictOptions(backend=backend)))


def _of_module(module: nn.Module, normalisation: tuple[Levels3, Levels3]) -> tuple[nn.Module, ModuleCard]:
    """A copy of a module as a network that predicts, on the CPU.

    Raises: UserError for a module that cannot be copied or used.
    """
    name = type(module).__name__
    if not _is_normalisation(normalisation):
        raise UserError(
            f"normalisation {normalisation!r}: needed is (mean, std), three numbers each, std above 0"
        )
    try:
        network = copy.deepcopy(module).cpu()
    except Exception as error:  # what a module holds may refuse in any way
        raise UserError(
            f"{name}: cannot be copied ({type(error).__name__}: {error}); load it anew"
        ) from error
    network, count = made_fit(name, network)
    classes = named_classes(range(count))
    return network, ModuleCard(name, False, found_stages(network), classes, BASE_SIZE, None, normalisation)


def _is_normalisation(given: object) -> bool:
    """Whether it is the mean and deviation of three colours."""
    try:
        numbers = np.asarray(given, float)
    except (TypeError, ValueError):
        return False
    return numbers.shape == (2, 3) and bool(np.isfinite(numbers).all() and (numbers[1] > 0).all())


def _with(
    card: Card, title: str, classes: Sequence[str] | None, stages: Sequence[str] | None, base_size: int | None
) -> Card:
    """The card with what a person gives in place of what it says.

    Raises: UserError for another number of classes.
    """
    changes: dict[str, object] = {}
    for key, given in (("classes", classes), ("stages", stages)):
        if given is not None and (isinstance(given, str) or not isinstance(given, Sequence)):
            raise UserError(f"{key} {given!r}: needed is a list of names")
    if classes is not None:
        if len(classes) != card.classes.num_classes:
            raise UserError(f"classes: {len(classes)} names for the {card.classes.num_classes} of {title}")
        changes["classes"] = named_classes(classes)
    if stages is not None:
        changes["stages"] = tuple(stages)
    if base_size is not None:
        if isinstance(base_size, bool) or not isinstance(base_size, int) or base_size < 1:
            raise UserError(f"base_size {base_size!r}: needed is a number of pixels, 1 or more")
        changes["base_size"] = base_size
    return replace(card, **changes)
