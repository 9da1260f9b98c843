"""The confusion matrix and the worst images as pictures."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

from rws.data.classes import ClassSet
from rws.evaluate.ways import Photo
from rws.look.guidance_plot import matrix
from rws.look.names import label, plain_text
from rws.look.viz import sheet_figure, with_label
from rws.runtime.files import written

SIDE = 480  # pixels of a picture on the sheet at most
MOST_NUMBERS = 40  # classes, of which cells still hold readable numbers


@dataclass(frozen=True)
class Shown:
    """An image with its label and prediction as pictures, small; present: the values of both."""

    score: float
    image_id: str
    pictures: tuple[Image.Image, ...]
    present: frozenset[int]


@dataclass
class Worst:
    """The images of the lowest mIoU so far, `most` of them."""

    classes: ClassSet
    most: int
    shown: list[Shown] = field(default_factory=list)

    def offer(self, score: float, photo: Photo, predicted: np.ndarray) -> None:
        """Keep an image if it is one of the worst; one without a score never is.

        Shape: predicted (H, W).
        """
        full = len(self.shown) == self.most
        if np.isnan(score) or not self.most or (full and score >= self.shown[-1].score):
            return
        self.shown.append(self._small(score, photo, predicted))
        self.shown = sorted(self.shown, key=lambda each: each.score)[: self.most]

    def _small(self, score: float, photo: Photo, predicted: np.ndarray) -> Shown:
        image = photo.image.copy()
        image.thumbnail((SIDE, SIDE))
        nearest = Image.Resampling.NEAREST
        maps = [np.asarray(Image.fromarray(m).resize(image.size, nearest)) for m in (photo.label, predicted)]
        pictures = (image, *(with_label(image, m, self.classes) for m in maps))
        return Shown(score, photo.image_id, pictures, frozenset(np.unique(maps).tolist()))

    def sheet(self, title: str) -> Image.Image:
        """Photograph, label and prediction of each, the worst first."""
        groups = [
            list(zip((each.image_id, "label", f"prediction: IoU {each.score:.1f}"), each.pictures))
            for each in self.shown
        ]
        present = np.array(sorted(frozenset().union(*(each.present for each in self.shown))))
        return sheet_figure(groups, present, self.classes, title)


def draw_confusion(confusion: list[list[int]], names: tuple[str, ...], path: Path, title: str) -> None:
    """Write the shares of each label's pixels by prediction as a PNG; a class without a label has none."""
    counts = np.array(confusion, float)
    pixels = counts.sum(1, keepdims=True)
    shares = np.divide(counts, pixels, out=np.full_like(counts, np.nan), where=pixels > 0)
    side, few = 3 + 0.5 * min(len(names), MOST_NUMBERS), len(names) <= MOST_NUMBERS
    with plain_text(), written(path) as file:
        figure = Figure(figsize=(side, side), dpi=100, layout="constrained")
        FigureCanvasAgg(figure)
        axes, shown = figure.subplots(), [*map(label, names)]
        matrix(axes, shares, shown, shown, written=few)
        axes.tick_params("x", rotation=90)
        axes.tick_params(labelsize=10 if few else 400 / len(names))
        axes.set(xlabel="predicted", ylabel="labelled", title=title)
        figure.savefig(file, format="png")
