"""Photographs through one network: read, predicted, drawn and written. Several networks: side_by_side.py."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rws.data.label_images import file_label
from rws.errors import UserError
from rws.look.named_regions import named_overlay
from rws.predict.annotations import Annotations
from rws.predict.images import open_image, write_pictures
from rws.predict.predictor import Predictor, network_inputs
from rws.predict.ways import HeatMaps
from rws.runtime.bars import say

# The endings of the results; COMPARED of several networks side by side.
LABEL, OVERLAY, CAM, COMPARED = ".png", "_overlay.jpg", "_cam.png", "_compare.jpg"


@dataclass(frozen=True)
class Photograph:
    """An image as it was read, and what the network sees of it; shape: (H, W) and (1, 3, h, w).

    seen: None where the network is to see windows of it.
    """

    path: Path
    image: Image.Image
    seen: Tensor | None


@dataclass(frozen=True)
class ImageJob:
    """What one network does with every photograph of a command.

    stems: where the results of each go, without their endings. heat_maps: those that are drawn as well, or
    None. annotations: what gathers these, if they are asked for. legend: of `named_overlay`.
    """

    predictor: Predictor
    stems: dict[Path, Path]
    heat_maps: HeatMaps | None = None
    annotations: Annotations | None = None
    legend: str | None = None

    def read(self, path: Path) -> Photograph:
        """Raises: UserError naming an image that cannot be read or used."""
        windows = self.predictor.options.windows is not None
        image = open_image(path, self.predictor.card.levels, windows=windows)
        try:
            return Photograph(path, image, network_inputs([self.predictor], image)[0])
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def predict(self, photograph: Photograph) -> Callable[[], None]:
        """Run the network; returns a function that draws and writes the results.

        Raises: UserError naming the image.
        """
        path, image = photograph.path, photograph.image
        try:
            label = self.predictor.label(image, photograph.seen, path.name)
            figures = {CAM: self._maps(photograph, label)} if self.heat_maps else {}
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        except torch.OutOfMemoryError:
            raise UserError(f"{path}: does not fit into the GPU's memory; try --device cpu") from None
        return partial(self.finish, photograph, label, figures)

    def _maps(self, photograph: Photograph, label: np.ndarray) -> Image.Image:
        from rws.predict.cam_figure import draw_cam_figure  # which loads matplotlib and scipy

        figure, found = draw_cam_figure(self.predictor, photograph.image, label, self.heat_maps)
        if not found:
            category = self.heat_maps.category
            say(f"{photograph.path}: no pixel is predicted as {category}, its heat maps are empty")
        return figure

    def finish(self, photograph: Photograph, label: np.ndarray, figures: dict[str, Image.Image]) -> None:
        """Draw the label and the overlay, and write everything, the annotations first.

        Raises: UserError naming the result that could not be written.
        """
        if self.annotations is not None:
            self.annotations.add(photograph.path, label)
        classes, stem = self.predictor.card.classes, self.stems[photograph.path]
        drawn = named_overlay(photograph.image, label, classes, self.legend)
        pictures = {LABEL: file_label(label, classes), OVERLAY: drawn, **figures}
        write_pictures(list(pictures.values()), [stem.with_name(stem.name + ending) for ending in pictures])
