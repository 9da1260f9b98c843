"""What the pictures share: their size, how a panel looks, and how they are written."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from PIL import Image

# GitHub shows a README about 830 pixels wide; twice that many stay sharp on a dense screen.
WIDTH_INCHES, DPI = 8.3, 200
TITLE, TEXT, SMALL = 12, 9, 8  # points; 8 are 11 pixels of that width
# Okabe and Ito's colours, told apart with every common kind of colour blindness.
BLUE, ORANGE, GREEN, VERMILLION = "#0072B2", "#E69F00", "#009E73", "#D55E00"


def canvas(height_inches: float, dpi: int = DPI, **layout: object) -> Figure:
    """An empty figure as wide as the README."""
    figure = Figure(figsize=(WIDTH_INCHES, height_inches), dpi=dpi, **layout)
    FigureCanvasAgg(figure)
    return figure


def panel(axes: Axes, picture: Image.Image | np.ndarray, title: str = "") -> None:
    """A picture without ticks, its pixels as they are."""
    axes.imshow(np.asarray(picture), interpolation="nearest")
    axes.set_title(title, fontsize=SMALL, pad=3)
    axes.set_xticks([])
    axes.set_yticks([])


def frame(axes: Axes, box_yxhw: Sequence[int], colour: str, width: float) -> None:
    """Draw a box of image pixels."""
    y, x, h, w = box_yxhw
    axes.add_patch(
        Rectangle((x - 0.5, y - 0.5), w, h, fill=False, edgecolor=colour, linewidth=width, clip_on=False)
    )


def rendered(figure: Figure) -> Image.Image:
    """The figure's pixels in RGB."""
    figure.canvas.draw()
    return Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB")


def write_png(picture: Image.Image, path: Path) -> None:
    """Write in 256 colours, which nobody sees and which makes a third of the bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    # The colours are found on every third pixel of a row and column, which is much faster.
    colours = Image.fromarray(np.asarray(picture)[::3, ::3].copy()).quantize(256, kmeans=1)
    indexed = picture.quantize(palette=colours, dither=Image.Dither.NONE)
    table, paper = indexed.getpalette(), 3 * indexed.getpixel((0, 0))
    table[paper : paper + 3] = picture.getpixel((0, 0))  # the means shade it
    indexed.putpalette(table)
    indexed.save(path, optimize=True)


def write_gif(frames: Sequence[Image.Image], path: Path, milliseconds: int) -> None:
    """Write an endless animation; one palette for all frames, so that nothing flickers."""
    path.parent.mkdir(parents=True, exist_ok=True)
    tall = np.concatenate([np.asarray(f)[::2, ::2] for f in frames])
    palette = Image.fromarray(tall).quantize(256, kmeans=1, dither=Image.Dither.NONE)
    indexed = [f.quantize(palette=palette, dither=Image.Dither.NONE) for f in frames]
    indexed[0].save(path, save_all=True, append_images=indexed[1:], duration=milliseconds, loop=0)
