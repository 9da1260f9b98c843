"""Trained networks that predict the same pictures: loaded, given titles, and asked for labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rws.data.files import SUFFIXES, read_header
from rws.data.opening import WINDOWED
from rws.errors import UserError
from rws.method.look_again import Look, look_at_images
from rws.method.stages import SMALL, check_stages
from rws.predict.backends import Exported, in_backend
from rws.predict.film_look import FilmLook
from rws.predict.inference import label_of_input, network_input, prepare_for_prediction
from rws.predict.sliding import sliding_label
from rws.predict.ways import PredictOptions, require_torch
from rws.runs.card import Card
from rws.runs.open_network import as_file, open_network
from rws.runtime.bars import say


@dataclass(frozen=True)
class Predictor:
    """A trained network with its title and the way in which it looks at images.

    again: how it looks at one image after the other where `options` say that it looks again.
    """

    title: str
    network: nn.Module
    card: Card
    options: PredictOptions
    again: Look | None = None

    def require_stages(self) -> None:
        """Raises: UserError for a network without stages to look at, whatever its file says."""
        if isinstance(self.network, Exported):
            require_torch("heat maps", self.network.backend)
        try:
            check_stages(self.network, self.card.stages, SMALL)
        except UserError as error:
            raise UserError(f"{self.title}: {error}") from error

    def of_film(self) -> "Predictor":
        """The same network for the frames of one film."""
        look = self.options.look_again
        return replace(self, again=FilmLook(look)) if look else self

    def label(self, image: Image.Image, seen: Tensor | None, name: str = "") -> np.ndarray:
        """The likeliest class of each pixel of an image in RGB, of which the network sees `seen`.

        Shape: what `network_inputs` gives -> (H, W) uint8.
        Raises: UserError where the GPU's memory does not suffice.
        """
        options = self.options
        try:
            if self.again:
                return self.again(self.network, self.card, image, images=seen).label()
            if options.windows:
                return sliding_label(self.network, self.card, image, options.windows, options.tta, name)
            return label_of_input(self.network, seen, (image.height, image.width), options.tta)
        except torch.OutOfMemoryError:
            raise UserError("does not fit into the GPU's memory; try --device cpu") from None


def load_predictors(
    networks: Sequence[str | Path],
    titles: Sequence[str] | None,
    device: torch.device,
    options: PredictOptions,
    trusted: Sequence[str] = (),
) -> list[Predictor]:
    """Open networks by name, as `open_network`; without `titles` they are called by their names.

    trusted: networks of one's own that a checkpoint may ask for.

    Raises: UserError for a network that cannot be used.
    """
    predictors = []
    for name, title in zip(networks, titles or titles_of(networks), strict=True):
        network, card = open_network(name, trusted)
        say(*(f"note: {note}" for note in getattr(network, "notes", ())))
        again = options.look_again and look_at_images(options.look_again)
        network = in_backend(prepare_for_prediction(network, device), card, options.backend, name)
        predictors.append(Predictor(title, network, card, options, again))
        if options.needs_stages:
            predictors[-1].require_stages()
    return predictors


def levels_for(cards: Sequence[Card], path: Path | None) -> tuple[float, float] | None:
    """The values that networks take for black and white in images of more than 8 bits, as `path` may be.

    Raises: UserError for such an image where the networks were trained with different ones.
    """
    known = list(dict.fromkeys(card.levels for card in cards if card.levels))
    if len(known) > 1 and path and path.suffix.lower() in SUFFIXES and read_header(path, WINDOWED).deep:
        raise UserError(
            f"{path}: more than 8 bits, and the networks take different values for black and white, "
            f"{' and '.join(map(str, known))}; take one at a time"
        )
    return known[0] if known else None


def titles_of(networks: Sequence[str | Path]) -> list[str]:
    """The names of networks; those of files as `path_titles`."""
    files = [path for path in map(as_file, networks) if path]
    titles = dict(zip(files, path_titles(files))) if files else {}
    return [titles.get(as_file(name), str(name)) for name in networks]


def path_titles(paths: Sequence[Path]) -> list[str]:
    """The part of each path in which the paths differ, without the beginning and the end that all share.

    runs/a/plain/last.pt and runs/a/rws/last.pt are "plain" and "rws"; one alone is called by its run.
    """
    parts = [list(Path(os.path.abspath(path)).parts) for path in paths]
    if len({tuple(p) for p in parts}) == 1:
        return [path.parent.name if path.stem in ("best", "last") else path.stem for path in paths]
    for end in (0, -1):
        while min(map(len, parts)) > 1 and len({p[end] for p in parts}) == 1:
            parts = [p[1:] if end == 0 else p[:-1] for p in parts]
    return ["/".join(p).removesuffix(".pt") for p in parts]


def network_inputs(predictors: Sequence[Predictor], image: Image.Image) -> list[Tensor | None]:
    """What each network sees of an image in RGB, made once for those that see the same.

    Shape: (1, 3, h, w) each, (5, 3, h, w) with quarters, None for one that sees windows.
    Raises: UserError for an image that is far longer than wide.
    """
    made: dict[tuple, Tensor] = {}
    seen = []
    for predictor in predictors:
        tta = predictor.options.tta
        key = (predictor.card.base_size, predictor.card.normalisation, tta)
        if predictor.options.windows is None and key not in made:
            made[key] = network_input(predictor.card, image, tta)
        seen.append(None if predictor.options.windows else made[key])
    return seen
