"""A trained network in one file, with what predicting needs: architecture, classes, palette, input size."""

import re
from collections.abc import Collection
from dataclasses import asdict
from pathlib import Path

from torch import Tensor, nn

from rws.errors import UserError
from rws.models import build_network, is_own
from rws.runs import checkpoint
from rws.runs.card import Card, read_card

_OWN_FORM = r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*"


def save_trained(path: Path, network: nn.Module, card: Card, **facts: float | int | str) -> None:
    """Write a network with its card and facts about it (cycle, epoch, miou)."""
    checkpoint.save(path, {"model": network.state_dict(), "card": asdict(card), **facts})


def load_trained(path: Path, trusted: Collection[str] = ()) -> tuple[nn.Module, Card]:
    """Build the network of a file in eval mode and fill it.

    A file that names a network of one's own names code that would be run: it is `trusted` only where a person
    has named that network, on the command line or in a configuration of theirs.

    Raises: UserError for a file that cannot be read, holds no trained network, or asks for code.
    """
    content = checkpoint.load(path)
    if "card" not in content:
        raise UserError(f"{path}: holds no trained network; take best.pt or last.pt of a run")
    try:
        card = read_card(content["card"])
        _require_trust(card.network, trusted)
        network, _ = build_network(card.network, card.classes.num_classes, aux=card.aux, weights="none")
        _fill(network, content.get("model"), card)
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return network.eval(), card


def _require_trust(name: str, trusted: Collection[str]) -> None:
    """Raises: UserError for code that nobody but the file has named."""
    if not is_own(name) or name in trusted:
        return
    if not re.fullmatch(_OWN_FORM, name):
        raise UserError(f"asks for a network {name!r}, which there cannot be")
    raise UserError(
        f"asks for the network {name}, code that would be run; if you know it, add --trust-network {name}"
    )


def _fill(network: nn.Module, state: object, card: Card) -> None:
    """Raises: UserError for weights or stages that are not those of the network."""
    own = network.state_dict()
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise UserError("holds no weights; take best.pt or last.pt of a run")
    other = [key for key in own if key not in state or state[key].shape != own[key].shape]
    other += [key for key in state if key not in own]
    if other:
        raise UserError(f"its weights are not those of {card.network}: {other[0]!r} is missing or another")
    if unknown := set(card.stages) - dict(network.named_modules()).keys():
        raise UserError(f"card.stages: {card.network} has no {sorted(unknown)[0]!r}")
    try:
        network.load_state_dict(state)
    except Exception as error:  # tensors of a kind that cannot be copied: sparse, quantised, without data
        raise UserError(
            f"its weights cannot be copied into {card.network} ({type(error).__name__})"
        ) from error
