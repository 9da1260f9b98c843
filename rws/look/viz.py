"""Figures and heat maps by matplotlib: labels beside images, and where each stage of a network looks."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from rws.data.classes import ClassSet
from rws.data.label_images import colour_label
from rws.errors import safe
from rws.look.names import label as label_of
from rws.look.names import plain_text
from rws.look.overlay import contours, is_foreground

# Perceptually uniform, and readable for all common kinds of colour blindness.
ATTENTION_COLOURS, MISSING_COLOURS = "viridis", "inferno"
DPI = 100
FIGURE_WIDTH_INCHES, MIN_PANEL_INCHES, BAR_INCHES = 16.0, 2.4, 1.3
LOWEST_PANEL_INCHES = 1.2


def _dimmed(image: Image.Image) -> np.ndarray:
    """The image in faint grey, so that only the map has colour and black stands out.

    Shape: (H, W, 3) float in 0..1.
    """
    grey = np.asarray(image.convert("L"), np.float32) / 255
    return np.repeat(0.3 + 0.4 * grey[..., None], 3, axis=-1)


def heat(
    map: np.ndarray,
    image: Image.Image | None = None,
    *,
    where: np.ndarray | None = None,
    colours: str = ATTENTION_COLOURS,
) -> Image.Image:
    """A map in colours, over the dimmed image if there is one; with `where` only there, outlined in white.

    Shape: map (H, W) in [0, 1] at the image's size; where (H, W) bool -> RGB of that size.
    """
    painted = colormaps[colours](np.clip(map, 0, 1))[..., :3]
    under = np.full_like(painted, 0.3) if image is None else _dimmed(image)
    if image is not None:
        share = 0.6 if where is None else 0.85  # over the whole image it must be seen what is where
        painted = share * painted + (1 - share) * under
    if where is not None:
        painted = np.where(where[..., None], painted, under)
        painted[contours(where, 1) & ~where] = 1.0
    return Image.fromarray(np.rint(255 * painted).astype(np.uint8))


def _panel(axes: Axes, picture: Image.Image, title: str) -> None:
    axes.imshow(np.asarray(picture), interpolation="antialiased")
    axes.set_title(title, fontsize=12)
    axes.set_xticks([])
    axes.set_yticks([])


def _legend(figure: Figure, label: np.ndarray, classes: ClassSet) -> None:
    """The classes that are in the label, and the ignored value if it is."""
    palette = np.array(classes.flat_palette()).reshape(256, 3) / 255
    names = dict(enumerate(classes.names)) | {classes.ignore_index: "not labelled"}
    present = [index for index in np.unique(label) if index in names]
    patches = [Patch(facecolor=palette[i], edgecolor="black", label=label_of(names[i])) for i in present]
    figure.legend(handles=patches, loc="outside lower center", ncols=8, fontsize=12, frameon=False)


def _row(axes: Sequence[Axes], pictures: Sequence[Image.Image], titles: Sequence[str], colours: str) -> None:
    """One picture a stage and the row's colour bar."""
    for ax, picture, title in zip(axes, pictures, titles):
        _panel(ax, picture, title)
    scale = ScalarMappable(cmap=colours)
    scale.set_clim(0, 1)
    bar = axes[0].figure.colorbar(scale, ax=list(axes), aspect=25, pad=0.01)
    bar.set_label("attention" if colours == ATTENTION_COLOURS else "missing", fontsize=12)


def _canvas(stages: int, height_by_width: float, panel: float) -> Figure:
    width = max(FIGURE_WIDTH_INCHES, panel * (stages + 1) + BAR_INCHES)
    panel = (width - BAR_INCHES) / (stages + 1)
    height = 2 * max(panel * min(height_by_width, 2.0), LOWEST_PANEL_INCHES) + 1.8
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def with_label(image: Image.Image, label: np.ndarray, classes: ClassSet) -> Image.Image:
    """The image with its label in colours over it.

    Shape: label (H, W) at the image's size.
    """
    return Image.blend(image.convert("RGB"), colour_label(label, classes).convert("RGB"), 0.6)


def samples_figure(
    samples: Sequence[tuple[str, Image.Image, np.ndarray]], classes: ClassSet, title: str
) -> Image.Image:
    """Images, each with its label drawn in beside it, two samples a row, and the classes' colours.

    Shape: a sample is a name, an image and its label (H, W).
    """
    pairs = [[(n, image), ("label", with_label(image, label, classes))] for n, image, label in samples]
    present = np.unique(np.concatenate([np.unique(label) for *_, label in samples]))
    return sheet_figure(pairs, present, classes, title)


@plain_text()
def sheet_figure(
    groups: Sequence[Sequence[tuple[str, Image.Image]]], present: np.ndarray, classes: ClassSet, title: str
) -> Image.Image:
    """Groups of as many pictures each, under their titles, two groups a row, and the colours of classes.

    Shape: present (N,), the values of which colours are named.
    """
    rows, columns = -(-len(groups) // 2), 2 * len(groups[0])
    size = (FIGURE_WIDTH_INCHES, 0.8 * FIGURE_WIDTH_INCHES / columns * rows + 1.5)
    figure = Figure(figsize=size, dpi=DPI, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(rows, columns, squeeze=False).reshape(-1, len(groups[0]))
    for empty in axes[len(groups) :].flat:
        empty.set_axis_off()
    for places, group in zip(axes, groups):
        for place, (name, picture) in zip(places, group):
            _panel(place, picture, label_of(name))
    _legend(figure, present, classes)
    figure.suptitle(safe(title), fontsize=15, fontweight="bold")
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


@dataclass(frozen=True)
class Planes:
    """Attention A_l and missing weights w_l of L stages with their names, and how they are shown.

    whole: over the whole image, else at the label's foreground alone. Means are over what is shown.
    label_title: what the label is called. panel: the least width of a picture in inches.

    Shape: maps and missing (L, H, W) in [0, 1].
    """

    stages: Sequence[str]
    maps: np.ndarray
    missing: np.ndarray
    whole: bool = False
    label_title: str = "label"
    panel: float = MIN_PANEL_INCHES


@plain_text()
def stage_figure(
    image: Image.Image, label: np.ndarray, classes: ClassSet, planes: Planes, title: str
) -> Image.Image:
    """Image and label, then a column a stage: its attention A_l, and below the missing weights w_l.

    1600 pixels wide or more.

    Shape: image and label (H, W).
    """
    where = np.ones(label.shape, bool) if planes.whole else is_foreground(label, classes)
    stages = planes.stages
    figure = _canvas(len(stages), image.height / image.width, planes.panel)
    axes = figure.subplots(2, len(stages) + 1, squeeze=False)
    _panel(axes[0, 0], image, "image\n")
    _panel(axes[1, 0], colour_label(label, classes).convert("RGB"), planes.label_title)
    rows = ((0, planes.maps, ATTENTION_COLOURS), (1, planes.missing, MISSING_COLOURS))
    for row, maps, colours in rows:
        inside = None if planes.whole else where
        pictures = [heat(each, image, where=inside, colours=colours) for each in maps]
        quantity = ("attention", "missing")[row]
        means = [f"mean {quantity} {each[where].mean():.2f}" if where.any() else "no pixel" for each in maps]
        titles = means if row else [f"{safe(name)}\n{mean}" for name, mean in zip(stages, means)]
        _row(axes[row, 1:], pictures, titles, colours)
    _legend(figure, label, classes)
    figure.suptitle(safe(title), fontsize=15, fontweight="bold")
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")
