"""Where the stages look before RWS and after it: A_l and w_l of one image, and means over many."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from rws.core.advantage import missing_weights
from rws.data.label_images import colour_label
from rws.look.viz import ATTENTION_COLOURS, MISSING_COLOURS, heat
from rws.method.score import looked_at
from tools.figures.canvas import BLUE, ORANGE, SMALL, TITLE, canvas, panel
from tools.figures.source import Source, foreground, most_fused, short

HEIGHT_INCHES = 6.7
NETWORKS = {"before": "cycles/0/whole.pt", "after": "last.pt"}


def before_after_figure(source: Source, image_id: str | None = None) -> Figure:
    """A row a network and quantity, a column a stage; means are over the object's pixels."""
    image_id = image_id or most_fused(source)
    split = source.split("train")
    figure = canvas(HEIGHT_INCHES)
    figure.suptitle("The stages before RWS and after it", fontsize=TITLE, fontweight="bold", y=0.985)
    axes = figure.subplots(4, 5, gridspec_kw={"wspace": 0.05, "hspace": 0.24})
    figure.subplots_adjust(0.01, 0.035, 0.99, 0.915)
    image = split.image(image_id)
    for k, (when, file) in enumerate(NETWORKS.items()):
        looked = source.network(file)
        item, found = looked.whole(split, image_id)
        where = foreground(item.label, looked)
        maps = found.maps[0]
        _maps(axes[k], maps.numpy(), image, where, f"$A$ {when}", looked.card.stages, ATTENTION_COLOURS)
        missing = missing_weights(maps).numpy()
        _maps(axes[2 + k], missing, image, where, f"$w$ {when}", looked.card.stages, MISSING_COLOURS)
    panel(axes[0, 0], image, "image")
    panel(axes[1, 0], colour_label(split.label(image_id), split.classes).convert("RGB"), "label")
    _words(axes[2, 0])
    _means(axes[3, 0], source.state["cycles"], _looked_at(source))
    return figure


def _maps(
    axes: np.ndarray,
    planes: np.ndarray,
    image: Image.Image,
    where: np.ndarray,
    name: str,
    stages: tuple[str, ...],
    colours: str,
) -> None:
    for ax, plane, stage in zip(axes[1:], planes, stages):
        title = f"{name}, {short(stage)}: {plane[where].mean():.2f}"
        panel(ax, heat(plane, image, where=where, colours=colours), title)


def _words(axes: Axes) -> None:
    """What the numbers and the colours are."""
    axes.set_axis_off()
    text = (
        "$A_l$: attention\n$w_l = A_{max} - A_l$: missing\n0 dark, 1 bright; numbers:\nmeans over the object"
    )
    axes.text(0, 0.97, text, fontsize=SMALL, va="top", linespacing=1.3, transform=axes.transAxes)


def _looked_at(source: Source) -> int:
    """The number of images whose missing weights the run reports."""
    return len(looked_at(source.split("train").ids, source.config["slices"]["missing_images"]))


def _means(axes: Axes, cycles: list[dict], number: int) -> None:
    """Missing weight of each stage over the images that the run looked at."""
    before, after = cycles[0]["missing_weight"], cycles[-1]["missing_weight"]
    places = np.arange(len(before))
    axes.bar(places - 0.2, list(before.values()), 0.4, color=ORANGE, label="before")
    axes.bar(places + 0.2, list(after.values()), 0.4, color=BLUE, label="after")
    top = max(*before.values(), *after.values(), 0.01)
    for shift, means in ((-0.2, before), (0.2, after)):
        for place, mean in zip(places, means.values()):
            axes.text(place + shift, mean + 0.02 * top, f"{mean:.2f}".lstrip("0"), fontsize=7, ha="center")
    axes.set_ylim(0, 1.75 * top)
    axes.set_xticks(places, [short(stage) for stage in before], fontsize=7)
    axes.tick_params(axis="x", length=0, pad=2)
    axes.set_yticks([])
    axes.set_title(f"mean $w$ by stage, {number} images", fontsize=SMALL, pad=3)
    axes.legend(fontsize=7.5, ncols=2, frameon=False, loc="upper center", handlelength=1, columnspacing=0.8)
