"""A trained network in one file, with what predicting needs: architecture, classes, palette, input size."""

from dataclasses import asdict, dataclass
from pathlib import Path

from torch import nn
from torchvision.transforms import v2

from rws.data.classes import ClassSet
from rws.data.transforms import Normalisation, eval_transform, finish
from rws.errors import UserError
from rws.models import build_network, find_family
from rws.runs import checkpoint


@dataclass(frozen=True)
class Card:
    """What a state_dict does not say.

    base_size: short side in pixels at which the network was evaluated. levels: the values that were black and
    white in images of more than 8 bits; None where it was trained on none.
    """

    network: str
    aux: bool
    stages: tuple[str, ...]
    classes: ClassSet
    base_size: int
    levels: tuple[float, float] | None = None

    @property
    def normalisation(self) -> Normalisation:
        family = find_family(self.network)
        return Normalisation(family.mean, family.std)

    def transform(self) -> v2.Transform:
        """What turns an image into the network's input, the same in evaluation, scoring and prediction."""
        return eval_transform(self.base_size, self.normalisation)

    def at_own_size(self) -> v2.Transform:
        """The same for pixels that are not to be resized."""
        return v2.Compose(finish(self.normalisation))


def save_trained(path: Path, network: nn.Module, card: Card, **facts: float | int | str) -> None:
    """Write a network with its card and facts about it (cycle, epoch, miou)."""
    checkpoint.save(path, {"model": network.state_dict(), "card": asdict(card), **facts})


def load_trained(path: Path) -> tuple[nn.Module, Card]:
    """Build the network of a file in eval mode and fill it.

    Raises: UserError for a file that cannot be read or holds no trained network.
    """
    content = checkpoint.load(path)
    if "card" not in content:
        raise UserError(f"{path}: holds no trained network; take best.pt or last.pt of a run")
    card = dict(content["card"])
    palette = tuple(tuple(colour) for colour in card["classes"]["palette"])
    stored = {k: tuple(v) if isinstance(v, list) else v for k, v in card["classes"].items()}
    classes = ClassSet(**{**stored, "palette": palette})
    levels = card.get("levels") and tuple(card["levels"])
    card = Card(**{**card, "classes": classes, "stages": tuple(card["stages"]), "levels": levels})
    network, _ = build_network(card.network, classes.num_classes, aux=card.aux, weights="none")
    network.load_state_dict(content["model"], strict=True)
    return network.eval(), card
