"""What the plain network and RWS predict on validation images, one image a frame."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from rws.data.classes import ClassSet
from rws.data.split import Split
from rws.look.overlay import overlay
from rws.look.samples import chosen_ids
from tools.figures.canvas import SMALL, TEXT, TITLE, canvas, panel, rendered
from tools.figures.source import Looked, Source

FRAMES, DPI = 12, 100
HEIGHT_INCHES = 2.6


def prediction_frames(source: Source, count: int = FRAMES) -> list[Image.Image]:
    """Images spread evenly over the validation list, not chosen by what the networks make of them."""
    split, last = source.split("val"), source.state["cycles"][-1]
    networks = {"plain": source.network(f"cycles/{last['cycle']}/plain.pt"), "RWS": source.network("last.pt")}
    scores = {"plain": last["plain"][-1]["miou"], "RWS": last["whole"][-1]["miou"]}
    ids = chosen_ids(split.ids, count)
    return [rendered(_frame(split, i, f"{k + 1} of {len(ids)}", networks, scores)) for k, i in enumerate(ids)]


def _frame(
    split: Split, image_id: str, place: str, networks: dict[str, Looked], scores: dict[str, float]
) -> Figure:
    image, label = split.image(image_id), split.label(image_id)
    figure = canvas(HEIGHT_INCHES, dpi=DPI)
    mious = ", ".join(f"{name} {score:.1f}" for name, score in scores.items())
    figure.text(0.008, 0.93, f"Validation image {place}", fontsize=TITLE, fontweight="bold", va="center")
    figure.text(0.992, 0.93, f"mIoU of all {len(split.ids)}: {mious}", fontsize=TEXT, va="center", ha="right")
    figure.subplots_adjust(0.008, 0.13, 0.992, 0.79, wspace=0.04)
    axes = figure.subplots(1, 4)
    panel(axes[0], image, "image")
    panel(axes[1], overlay(image, label, split.classes, 0.6), "label")
    for ax, (name, looked) in zip(axes[2:], networks.items()):
        predicted = looked.predict(split, image_id)
        right = 100 * (predicted == label)[label != split.classes.ignore_index].mean()
        panel(ax, overlay(image, predicted, split.classes, 0.6), f"{name}: {right:.1f} % of pixels right")
    _legend(figure, split.classes)
    return figure


def _legend(figure: Figure, classes: ClassSet) -> None:
    colours = np.array(classes.palette) / 255
    patches = [
        Patch(facecolor=colours[c], edgecolor="black", label=classes.names[c]) for c in classes.foreground
    ]
    figure.legend(handles=patches, loc="lower center", ncols=len(patches), fontsize=SMALL, frameon=False,
                  borderaxespad=0.2, bbox_to_anchor=(0.5, 0))  # fmt: skip
