"""What a network saw of one photograph: labels, probabilities, heat maps, polygons, and pictures of them."""

import base64
import html
import io
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from rws.core.advantage import missing_weights
from rws.data.label_images import file_label
from rws.errors import UserError
from rws.look.named_regions import named_overlay
from rws.look.overlay import overlay
from rws.predict.annotations import TOLERANCE, Polygon, polygons
from rws.predict.flags import LEGENDS
from rws.predict.images import make_output, refuse_overwriting, write_pictures
from rws.predict.inference import maps_at_own_size
from rws.predict.photographs import LABEL, OVERLAY
from rws.predict.predictor import Predictor

SHOWN = 800  # pixels of the longer side of a picture in a notebook


class Look(Protocol):
    """Scores at the size of the network's input, from which those of the photograph are made."""

    def label(self) -> np.ndarray: ...

    def probabilities(self) -> Tensor: ...


@dataclass(frozen=True, eq=False)
class Seen:
    """What a network saw of one photograph, or of one frame of a film.

    image: the photograph in RGB as it was shown. name: of its file, or "image". time: of a frame, in seconds.
    label: the index of the likeliest class at each pixel, (H, W) uint8.
    """

    image: Image.Image
    name: str
    label: np.ndarray
    _predictor: Predictor
    _look: Look
    time: float | None = None
    _path: Path | None = None
    _maps: dict[str, Tensor] = field(default_factory=dict)

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of the classes; the index of one is its value in `label`."""
        return self._predictor.card.classes.names

    @cached_property
    def probabilities(self) -> np.ndarray:
        """The probability of each class at each pixel.

        Shape: (C, H, W) float32.
        """
        return self._look.probabilities().float().cpu().numpy()

    def overlay(self, alpha: float = 0.5) -> Image.Image:
        """The photograph with each region tinted in its class's colour; `alpha` is the colour's share."""
        return overlay(self.image, self.label, self._predictor.card.classes, alpha)

    def cam(self, category: str) -> dict[str, np.ndarray]:
        """Where each stage of the network looks for the pixels that are predicted as a class: Seg-Grad-CAM.

        Returns maps by the stage's name, early to late, in [0, 1], and 0 at pixels of other classes.

        Shape: (H, W) float32 each.
        Raises: UserError for an unknown class, and for a network without stages.
        """
        return self._by_stage(self._stage_maps(category))

    def missing(self, category: str) -> dict[str, np.ndarray]:
        """The attention that another stage has at a pixel and this one lacks: the largest map minus its own.

        Shape: (H, W) float32 each, by the stage's name.
        Raises: UserError as `cam`.
        """
        return self._by_stage(missing_weights(self._stage_maps(category)))

    def polygons(self, tolerance: float = TOLERANCE) -> list[Polygon]:
        """The connected regions of every class but the background: name, outline, and outlines of the holes.

        An outline runs between the centres of the pixels within and without. Corners that lie within so many
        pixels of the line without them are left out, none with tolerance 0.

        Shape: outlines (n, 2) of x, y in pixels, from (0, 0), the upper left corner of the image.
        """
        return polygons(self.label, self._predictor.card.classes, tolerance)

    def save(self, folder: str | Path, name: str | None = None, legend: str | None = None) -> list[Path]:
        """Write NAME.png and NAME_overlay.jpg, as `rws predict` does; returns their paths.

        NAME.png is the label with the numbers and colours of the data set's own files. `legend` is that of
        `rws predict`, "strip" or "none".

        Raises: UserError naming what could not be written, and where it would take the photograph's place.
        """
        folder = Path(folder)
        if legend not in (None, *LEGENDS):
            raise UserError(f"legend {legend!r}: must be one of {', '.join(LEGENDS)}")
        paths = [folder / f"{name or self.name}{ending}" for ending in (LABEL, OVERLAY)]
        if self._path is not None:
            refuse_overwriting([self._path], paths)
        make_output(folder)
        classes = self._predictor.card.classes
        pictures = [file_label(self.label, classes), named_overlay(self.image, self.label, classes, legend)]
        write_pictures(pictures, paths)
        return paths

    def _stage_maps(self, category: str) -> Tensor:
        """Shape: (L, H, W), on the CPU."""
        if category not in self._maps:
            predictor = self._predictor
            index = predictor.card.classes.index(category)
            predictor.require_stages()
            found = maps_at_own_size(predictor.network, predictor.card, self.image, self.label, index)
            self._maps[category] = found
        return self._maps[category]

    def _by_stage(self, maps: Tensor) -> dict[str, np.ndarray]:
        return dict(zip(self._predictor.card.stages, maps.numpy()))

    def _shares(self) -> list[tuple[int, float]]:
        """The classes that are there, and the share of the pixels of each, the largest first."""
        index, count = np.unique(self.label, return_counts=True)
        return sorted(zip(index.tolist(), (count / self.label.size).tolist()), key=lambda row: -row[1])

    def __repr__(self) -> str:
        shares = ", ".join(f"{self.classes[index]} {share:.1%}" for index, share in self._shares()[:6])
        return f"<Seen {self.name}, {self.image.width} x {self.image.height}: {shares}>"

    def _repr_png_(self) -> bytes:
        return _encoded(self.overlay(), "PNG")

    def _repr_html_(self) -> str:
        picture = base64.b64encode(_encoded(self.overlay(), "JPEG")).decode()
        rows = "".join(self._row(index, share) for index, share in self._shares())
        return f'<img src="data:image/jpeg;base64,{picture}" alt="{html.escape(self.name)}"><p>{rows}</p>'

    def _row(self, index: int, share: float) -> str:
        colour = "#{:02x}{:02x}{:02x}".format(*self._predictor.card.classes.palette[index])
        box = f'<span style="background:{colour};border:1px solid;padding:0 .5em;margin-right:.4em"></span>'
        name = html.escape(self.classes[index])
        return f'<span style="margin-right:1.2em">{box}{name} {share:.1%}</span> '


def _encoded(picture: Image.Image, form: str) -> bytes:
    """A picture as a file, at most SHOWN pixels long."""
    picture.thumbnail((SHOWN, SHOWN))
    out = io.BytesIO()
    picture.save(out, form)
    return out.getvalue()
