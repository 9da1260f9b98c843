"""The guidance as a figure: missing weights over the cycles, by size of the objects, and by class."""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rws.cycle.guidance import Guidance, by_class, guidance
from rws.data.object_sizes import LARGE, SIZES, SMALL
from rws.errors import safe
from rws.look.names import label, plain_text, short
from rws.method.missing_weights import mean_missing
from rws.runs.record import CycleRecord
from rws.runtime.files import written

MOST_CLASSES = 12
COLOURS = "inferno"
# Told apart by their dashes and markers too, in Okabe and Ito's colours without the yellow.
STROKES = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
DASHES, MARKERS = ("-", "--", "-.", ":"), "osD^vP"


def course(axes: Axes, cycles: Sequence[CycleRecord]) -> None:
    """The mean missing weight of every stage in every cycle."""
    held = [c for c in cycles if c.attention]
    stages = list(held[0].attention["groups"][0]["missing"])
    for place, (stage, name) in enumerate(zip(stages, short(stages))):
        means = [mean_missing(c.attention["groups"], stage) for c in held]
        look = {"color": STROKES[place % len(STROKES)], "linestyle": DASHES[place % len(DASHES)]}
        numbers = [c.cycle for c in held]
        axes.plot(numbers, means, marker=MARKERS[place % len(MARKERS)], label=label(name), **look)
    axes.set(title="Missing weight over the cycles", xlabel="cycle", ylabel="mean missing weight")
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.grid(alpha=0.3)
    axes.legend(fontsize=9, frameon=False, ncols=2)
    axes.set_ylim(top=axes.get_ylim()[1] * (1.25 + 0.1 * (len(stages) // 2)))  # the legend hides nothing


def matrix(
    axes: Axes, values: np.ndarray, rows: Sequence[str], columns: Sequence[str], *, written: bool = True
) -> None:
    """Numbers in coloured cells, and where they are `written` as text; NaN is an empty one.

    Shape: (rows, columns) in [0, 1].
    """
    shades = colormaps[COLOURS].with_extremes(bad=(0.5, 0.5, 0.5, 0.15))
    axes.imshow(values, cmap=shades, vmin=0, vmax=1, aspect="auto")
    for y, x in np.ndindex(*values.shape) if written else ():
        known = np.isfinite(values[y, x])
        colour = ("black" if values[y, x] > 0.6 else "white") if known else "grey"
        text = f"{values[y, x]:.2f}" if known else "–"
        axes.text(x, y, text, ha="center", va="center", color=colour, fontsize=10)
    axes.set_xticks(range(len(columns)), columns)
    axes.set_yticks(range(len(rows)), rows)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)


def colour_bar(axes: Axes) -> None:
    """What the colours of a `matrix` stand for."""
    bar = axes.figure.colorbar(axes.images[0], ax=axes, aspect=25, pad=0.02)
    bar.set_label("missing weight")
    bar.outline.set_visible(False)


def sizes(axes: Axes, found: Guidance) -> None:
    """Stages by sizes of the objects."""
    values = [[row.sizes[s] if row.sizes[s] is not None else np.nan for s in SIZES] for row in found.rows]
    bounds = (f"below {SMALL:.0%}", f"{SMALL:.0%} to {LARGE:.0%}", f"above {LARGE:.0%}")
    columns = [f"{size}\n{bound}" for size, bound in zip(SIZES, bounds)]
    rows = [*map(safe, short([row.stage for row in found.rows]))]
    matrix(axes, np.array(values, float), rows, columns)
    axes.set(title="Missing weight by size of the object", xlabel="area of the region over the image's")
    colour_bar(axes)


def classes(axes: Axes, found: Guidance, groups: list[dict]) -> None:
    """Classes by stages; of many classes those that any stage misses most."""
    stages = [row.stage for row in found.rows]
    means = {stage: by_class(groups, stage) for stage in stages}
    names = sorted(means[stages[0]], key=lambda name: -max(means[s][name] for s in stages))
    title = "Missing weight by class"
    if len(names) > MOST_CLASSES:
        title += f":\nthe {MOST_CLASSES} of {len(names)} that miss most"
    names = names[:MOST_CLASSES]
    matrix(
        axes,
        np.array([[means[s][name] for s in stages] for name in names]),
        [*map(safe, names)],
        [*map(safe, short(stages))],
    )
    axes.tick_params("x", rotation=20)
    axes.set_title(title)
    colour_bar(axes)


def panels(cycles: Sequence[CycleRecord]) -> list[tuple[float, Callable[[Axes], None]]]:
    """What there is to draw, each with its height in inches: sizes; several classes; the course of cycles.

    Raises: ValueError where no foreground pixel was looked at.
    """
    found = guidance(cycles)
    if not found.rows:
        raise ValueError("no missing weights were looked at")
    groups = next(c for c in reversed(cycles) if c.attention).attention["groups"]
    drawn = [(_height(len(found.rows)), partial(sizes, found=found))]
    several = len(by_class(groups, found.rows[0].stage))
    if several > 1:
        drawn.append((_height(min(several, MOST_CLASSES)), partial(classes, found=found, groups=groups)))
    if len(found.cycles) > 1:
        drawn.append((_height(4), partial(course, cycles=cycles)))
    return drawn


def _height(rows: int) -> float:
    return 1.8 + 0.42 * max(rows, 4)


def save(cycles: Sequence[CycleRecord], path: Path, title: str) -> None:
    """Write all panels side by side as a PNG."""
    with plain_text():
        draw = panels(cycles)
        size = (5.4 * len(draw) + 0.6, max(height for height, _ in draw))
        drawn = Figure(figsize=size, dpi=110, layout="constrained")
        FigureCanvasAgg(drawn)
        drawn.suptitle(safe(title), fontweight="bold")
        for axes, (_, panel) in zip(np.atleast_1d(drawn.subplots(1, len(draw))), draw):
            panel(axes)
        with written(path) as file:
            drawn.savefig(file, format="png")
