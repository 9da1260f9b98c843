"""Photographs as several networks see them, side by side under titles."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image
from torch import Tensor

from rws.errors import UserError
from rws.look.panels import Panels, fitted, panel_size
from rws.look.viz import overlay
from rws.predict.images import open_image
from rws.predict.predictor import Viewer, views

COMPARED = "_compare.jpg"
PHOTOGRAPH = "photograph"
WIDEST = 3840  # pixels of all pictures together, unless somebody asks for more


@dataclass(frozen=True)
class SideBySide:
    """What is done with every photograph.

    stems: where the results of each go, without their endings. width: of a picture in pixels. write: how
    pictures come into files.
    """

    viewers: Sequence[Viewer]
    width: int | None
    stems: dict[Path, Path]
    write: Callable[[list[Image.Image], list[Path]], None]

    def read(self, path: Path) -> tuple[Path, Image.Image, list[Tensor | None]]:
        """Raises: UserError naming an image that cannot be read or used."""
        image = open_image(path)
        try:
            return path, image, views(self.viewers, image)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    def predict(self, photograph: tuple[Path, Image.Image, list[Tensor | None]]) -> Callable[[], None]:
        """Run the networks; what is left to do, which is drawing and writing.

        Raises: UserError naming the image.
        """
        path, image, seen = photograph
        try:
            labels = [viewer.label(image, own, path.name) for viewer, own in zip(self.viewers, seen)]
        except UserError as error:
            raise UserError(f"{path}: {error}") from None
        return partial(self.finish, path, image, labels)

    def finish(self, path: Path, image: Image.Image, labels: Sequence[np.ndarray]) -> None:
        """Draw and write.

        Raises: UserError naming the result that could not be written.
        """
        stem = self.stems[path]
        picture = drawn_beside(image, self.viewers, labels, self.width)
        self.write([picture], [stem.with_name(stem.name + COMPARED)])


def drawn_beside(
    image: Image.Image, viewers: Sequence[Viewer], labels: Sequence[np.ndarray], width: int | None
) -> Image.Image:
    """The photograph and beside it as each network sees it, with titles and legend.

    Shape: labels (H, W).
    """
    size = panel_size(image.size, 1 + len(viewers), width=width, most=WIDEST, titled=True)
    classes = [viewer.card.classes for viewer in viewers]
    panels = Panels([PHOTOGRAPH, *(viewer.title for viewer in viewers)], [None, *classes], size)
    tinted = [overlay(image, label, kind) for label, kind in zip(labels, classes)]
    return panels.drawn([fitted(picture, size) for picture in (image, *tinted)], [None, *labels])
