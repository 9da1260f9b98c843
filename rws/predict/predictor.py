"""Trained networks that look at the same pictures: loaded, titled, and asked for labels."""

import argparse
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from rws.errors import UserError
from rws.predict.inference import for_prediction, label_of_input, network_input
from rws.predict.refine import refined_label
from rws.predict.sliding import Windows, sliding_label, windows_of
from rws.runs.model_file import Card, load_trained


@dataclass(frozen=True)
class Manner:
    """How networks look at an image: at the whole once, with augmentation, by weak slices, or in windows."""

    tta: str = "none"
    refine: bool = False
    windows: Windows | None = None


def manner_of(args: argparse.Namespace) -> Manner:
    """What a command line asks for.

    Raises: UserError for ways that exclude each other, and for windows that cannot be used.
    """
    if args.refine and args.tta != "none":
        raise UserError(f"command line: --refine and --tta {args.tta} are two ways to average; choose one")
    return Manner(args.tta, args.refine, windows_of(args))


@dataclass(frozen=True)
class Viewer:
    """A network for prediction, what it is called, and how it looks."""

    title: str
    network: nn.Module
    card: Card
    manner: Manner

    def label(self, image: Image.Image, seen: Tensor | None, name: str = "") -> np.ndarray:
        """The likeliest class of each pixel of an image in RGB, of which the network sees `seen`.

        Shape: what `views` gives -> (H, W) uint8.
        Raises: UserError where the GPU's memory does not suffice.
        """
        manner = self.manner
        try:
            if manner.refine:
                return refined_label(self.network, self.card, image)
            if manner.windows:
                return sliding_label(self.network, self.card, image, manner.windows, manner.tta, name)
            return label_of_input(self.network, seen, (image.height, image.width), manner.tta)
        except torch.OutOfMemoryError:
            raise UserError("does not fit into the GPU's memory; try --device cpu") from None


def load_viewers(
    checkpoints: Sequence[Path], titles: Sequence[str] | None, device: torch.device, manner: Manner
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
        viewers.append(Viewer(title, for_prediction(network, device), card, manner))
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


def views(viewers: Sequence[Viewer], image: Image.Image) -> list[Tensor | None]:
    """What each network sees of an image in RGB, made once for those that see the same.

    Shape: (1, 3, h, w) each, (5, 3, h, w) with quarters, None for one that sees windows.
    Raises: UserError for an image that is far longer than wide.
    """
    made: dict[tuple, Tensor] = {}
    seen = []
    for viewer in viewers:
        tta = viewer.manner.tta
        key = (viewer.card.base_size, viewer.card.normalisation, tta)
        if viewer.manner.windows is None and key not in made:
            made[key] = network_input(viewer.card, image, tta)
        seen.append(None if viewer.manner.windows else made[key])
    return seen
