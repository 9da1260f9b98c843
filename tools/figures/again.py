"""One photograph looked at again: what the network is unsure of, the windows, and what it sees with them.

    python -m tools.figures.again chelsea.png --model runs/fair_cat/0/plain/best.pt --out Figs/again.jpg

chelsea.png is `skimage.data.chelsea()` of scikit-image (CC0); the network is that of
`rws compare --config experiments/fair_cat.yaml --seeds 0`. A photograph without a label says what changed,
not what is right.
"""

import argparse
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from rws.errors import UserError
from rws.evaluate.passes import first_windows
from rws.look.overlay import contours, overlay
from rws.method.look_again import SeenAgain, look_again
from rws.predict.images import open_image
from rws.predict.inference import prepare_for_prediction
from rws.predict.ways import LookAgain
from rws.report.mended import UNSURE_COLOURS
from rws.runs.card import Card
from rws.runs.open_network import open_network
from tools.figures.canvas import SMALL, WIDTH_INCHES, canvas, panel, rendered
from tools.figures.source import use_one_thread

COUNT, TITLES_INCHES, DPI, QUALITY = 4, 0.24, 193, 88
PASSES = 3
CHANGED = (255, 40, 200)


def again_figure(image: Image.Image, seen: SeenAgain, card: Card) -> Figure:
    """Four panels: unsure with the windows, the prediction in one pass and in all, and where they differ."""
    before, after = first_windows(seen, 0).label(), seen.label()
    changed = before != after
    figure = canvas(WIDTH_INCHES / COUNT * image.height / image.width + TITLES_INCHES, DPI)
    axes = figure.subplots(1, COUNT, gridspec_kw={"wspace": 0.03})
    figure.subplots_adjust(0.005, 0.01, 0.995, 1 - TITLES_INCHES / figure.get_figheight())
    panel(axes[0], image, "unsure: bright; windows")
    size = (-0.5, image.width - 0.5, image.height - 0.5, -0.5)
    axes[0].imshow(seen.unsure.cpu(), cmap=UNSURE_COLOURS, vmin=0, vmax=1, alpha=0.75, extent=size)
    for number, box in enumerate(seen.boxes_yxhw.tolist(), 1):
        _window(axes[0], number, box)
    panel(axes[1], overlay(image, before, card.classes), "one pass")
    panel(axes[2], overlay(image, after, card.classes), f"{seen.passes:g} passes")
    panel(axes[3], _changes(image, changed), f"changed: {100 * changed.mean():.1f} % of the pixels")
    return figure


def _window(axes: Axes, number: int, box_yxhw: list[int]) -> None:
    y, x, h, w = box_yxhw
    for colour, width in (("black", 2.6), ("white", 1.2)):
        corners = (x, x + w - 1, x + w - 1, x, x), (y, y, y + h - 1, y + h - 1, y)
        axes.plot(*corners, color=colour, linewidth=width, clip_on=False)
    said = {"fontsize": SMALL, "fontweight": "bold", "va": "top", "clip_on": False}
    axes.text(x + 4, y + 4, str(number), bbox={"facecolor": "white", "pad": 1.5, "linewidth": 0}, **said)


def _changes(image: Image.Image, changed: np.ndarray) -> Image.Image:
    """The photograph in grey with what changed in one colour, outlined in black."""
    pixels = np.asarray(image.convert("L").convert("RGB")) // 2 + 90
    pixels[contours(changed.astype(np.uint8), 1)] = 0
    pixels[changed] = CHANGED
    return Image.fromarray(pixels.astype(np.uint8))


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser("python -m tools.figures.again", description=__doc__.splitlines()[0])
    parser.add_argument("image", type=Path)
    parser.add_argument("--model", required=True, help="a network, as rws predict --model takes it")
    parser.add_argument("--out", type=Path, default=Path("Figs/again.jpg"))
    options = parser.parse_args(arguments)
    use_one_thread()
    try:
        network, card = open_network(options.model)
        image = open_image(options.image, card.levels)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    network = prepare_for_prediction(network, torch.device("cpu"))
    seen = look_again(network, card, image, LookAgain(PASSES, PASSES))
    rendered(again_figure(image, seen, card)).save(options.out, quality=QUALITY, optimize=True)
    print(f"{options.out}: {options.out.stat().st_size / 1000:.0f} kB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
