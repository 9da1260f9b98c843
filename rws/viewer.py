"""Trained networks that look at the same pictures: loaded, titled, and asked for labels."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rws.errors import UserError
from rws.inference import for_prediction, label_of_input, network_input
from rws.refine import refined_label
from rws.trained import Card, load_trained


@dataclass(frozen=True)
class Viewer:
    """A network for prediction, what it is called, and how it looks."""

    title: str
    network: nn.Module
    card: Card
    tta: str
    refine: bool

    def label(self, image: Image.Image, seen: Tensor) -> np.ndarray:
        """The likeliest class of each pixel of an image in RGB, of which the network sees `seen`.

        Shape: (1, 3, h, w) -> (H, W) uint8.
        Raises: UserError where the GPU's memory does not suffice.
        """
        try:
            if self.refine:
                return refined_label(self.network, self.card, image)
            return label_of_input(self.network, seen, (image.height, image.width), self.tta)
        except torch.OutOfMemoryError:
            raise UserError("an image does not fit into the GPU's memory; try --device cpu") from None


def load_viewers(
    checkpoints: Sequence[Path], titles: Sequence[str] | None, device: torch.device, tta: str, refine: bool
) -> list[Viewer]:
    """The networks of some checkpoints; without `titles` called by what their paths differ in.

    Raises: UserError for a checkpoint that cannot be used, and for another number of titles.
    """
    if titles is not None and len(titles) != len(checkpoints):
        raise UserError(
            f"--titles: {len(titles)} titles for {len(checkpoints)} checkpoints; give each one of its own, "
            "in quotes if it holds a space"
        )
    viewers = []
    for path, title in zip(checkpoints, titles or path_titles(checkpoints)):
        network, card = load_trained(path)
        viewers.append(Viewer(title, for_prediction(network, device), card, tta, refine))
    return viewers


def path_titles(paths: Sequence[Path]) -> list[str]:
    """What each path has between the folders that all begin with and the end that all have.

    runs/a/plain/last.pt and runs/a/rws/last.pt are "plain" and "rws"; one alone is called by its run.
    """
    parts = [list(Path(os.path.abspath(path)).parts) for path in paths]
    if len({tuple(p) for p in parts}) == 1:
        return [path.parent.name if path.stem in ("best", "last") else path.stem for path in paths]
    for end in (0, -1):
        while min(map(len, parts)) > 1 and len({p[end] for p in parts}) == 1:
            parts = [p[1:] if end == 0 else p[:-1] for p in parts]
    return ["/".join(p).removesuffix(".pt") for p in parts]


def views(viewers: Sequence[Viewer], image: Image.Image) -> list[Tensor]:
    """What each network sees of an image in RGB, made once for those that see the same.

    Shape: (1, 3, h, w) each.
    Raises: UserError for an image that is far longer than wide.
    """
    made: dict[tuple, Tensor] = {}
    for viewer in viewers:
        key = (viewer.card.base_size, viewer.card.normalisation)
        if key not in made:
            made[key] = network_input(viewer.card, image)
    return [made[viewer.card.base_size, viewer.card.normalisation] for viewer in viewers]
