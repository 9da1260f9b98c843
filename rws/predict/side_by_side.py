"""Photographs as several networks see them, side by side under titles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from rws.errors import UserError
from rws.look.overlay import overlay
from rws.look.panels import Panels, fitted, panel_size
from rws.predict.images import open_image, write_pictures
from rws.predict.photographs import COMPARED
from rws.predict.predictor import Predictor, levels_for, network_inputs

PHOTOGRAPH = "photograph"
WIDEST = 3840  # pixels of all pictures together, unless somebody asks for more


@dataclass(frozen=True)
class SideBySide:
    """What several networks do with every photograph of a command.

    width: of a picture in pixels. stems: where the results of each photograph go, without their endings.
    """

    predictors: Sequence[Predictor]
    width: int | None
    stems: dict[Path, Path]

    def read(self, path: Path) -> tuple[Path, Image.Image, list[Tensor | None]]:
        """Raises: UserError naming an image that cannot be read or used."""
        levels = levels_for([predictor.card for predictor in self.predictors], path)
        image = open_image(path, levels, windows=all(p.options.windows for p in self.predictors))
        try:
            return path, image, network_inputs(self.predictors, image)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def predict(self, photograph: tuple[Path, Image.Image, list[Tensor | None]]) -> Callable[[], None]:
        """Run the networks; returns a function that draws and writes the result.

        Raises: UserError naming the image.
        """
        path, image, seen = photograph
        try:
            labels = [predictor.label(image, own, path.name) for predictor, own in zip(self.predictors, seen)]
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        return partial(self.finish, path, image, labels)

    def finish(self, path: Path, image: Image.Image, labels: Sequence[np.ndarray]) -> None:
        """Draw and write.

        Raises: UserError naming the result that could not be written.
        """
        stem = self.stems[path]
        picture = draw_side_by_side(image, self.predictors, labels, self.width)
        write_pictures([picture], [stem.with_name(stem.name + COMPARED)])


def draw_side_by_side(
    image: Image.Image, predictors: Sequence[Predictor], labels: Sequence[np.ndarray], width: int | None
) -> Image.Image:
    """The photograph and beside it as each network sees it, with titles and legend.

    Shape: labels (H, W).
    """
    size = panel_size(image.size, 1 + len(predictors), width=width, most=WIDEST, titled=True)
    classes = [predictor.card.classes for predictor in predictors]
    panels = Panels([PHOTOGRAPH, *(predictor.title for predictor in predictors)], [None, *classes], size)
    tinted = [overlay(image, label, kind) for label, kind in zip(labels, classes)]
    return panels.drawn([fitted(picture, size) for picture in (image, *tinted)], [None, *labels])
