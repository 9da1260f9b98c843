"""Charts as inline SVG whose text and axes take the colour of the page around them, light or dark."""

import io
from collections.abc import Callable, Sequence
from functools import partial

from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rws.evaluate.passes import Point
from rws.look.guidance_plot import panels
from rws.look.names import PLAIN_TEXT, plain_text
from rws.runs.record import CycleRecord

# Okabe and Ito's; the arms differ in dashes and markers too.
RWS, PLAIN, GREY = "#0072B2", "#D55E00", "#888888"
_INK = "#010203"  # stands for the page's own colour while matplotlib draws
_STYLE = {
    **PLAIN_TEXT,
    **dict.fromkeys(("text.color", "axes.labelcolor", "xtick.color", "ytick.color", "axes.edgecolor"), _INK),
    **{"font.size": 10, "axes.titlesize": 11.5, "axes.titleweight": "bold", "axes.titlelocation": "left"},
    **{"axes.spines.top": False, "axes.spines.right": False, "grid.color": GREY, "grid.alpha": 0.3},
    **{"svg.fonttype": "none", "svg.hashsalt": "rws", "lines.linewidth": 2, "legend.frameon": False},
}


def svg(draw: Callable[[], Figure], label: str) -> str:
    """What `draw` draws, with `label` for those who do not see it."""
    with plain_text(_STYLE):
        drawn = draw()
        FigureCanvasSVG(drawn)
        text = io.StringIO()
        drawn.savefig(
            text,
            format="svg",
            transparent=True,
            metadata=dict.fromkeys(("Date", "Creator", "Format", "Type")),
        )
    start = text.getvalue()[text.getvalue().index("<svg") :]
    body = start.replace(_INK, "currentColor")
    return body.replace("<svg ", f'<svg role="img" aria-label="{label}" ', 1)


def _figure(height: float = 3.5) -> tuple[Figure, object]:
    drawn = Figure(figsize=(5.2, height), layout="constrained")
    axes = drawn.subplots()
    axes.grid()
    return drawn, axes


def _legend(drawn: Figure) -> None:
    """Below the axes, where it hides nothing."""
    drawn.legend(loc="outside lower center", ncols=2, fontsize=9.5)


def miou(rws: Sequence[dict], plain: Sequence[dict], name: str) -> Figure:
    """mIoU of both arms over the images that they were trained on; name: of the arm with the method."""
    drawn, axes = _figure()
    for k in sorted({point["cycle"] for point in rws} - {0}):
        start = min(point["images"] for point in rws if point["cycle"] == k)
        end = max(point["images"] for point in rws if point["cycle"] == k - 1)
        axes.axvspan(end, start, color=GREY, alpha=0.15, linewidth=0)
        axes.text(start, 1.0, f" cycle {k}", transform=axes.get_xaxis_transform(), va="top", fontsize=9)
    if plain:
        x, y = [p["images"] for p in plain], [p["miou"] for p in plain]
        axes.plot(x, y, color=PLAIN, linestyle="--", marker="s", markersize=5, label="plain")
    for k in sorted({point["cycle"] for point in rws}):
        own = [point for point in rws if point["cycle"] == k]
        x, y = [p["images"] for p in own], [p["miou"] for p in own]
        axes.plot(x, y, color=RWS, marker="o", markersize=6, label=None if k else name)
    axes.set(title="mIoU on the validation list", xlabel="images trained on", ylabel="mIoU (%)")
    axes.margins(y=0.15)
    _legend(drawn)
    return drawn


def passes(curve: Sequence[Point], rival: Point) -> Figure:
    """mIoU against the forward passes of an image, with the intervals of the gains over one pass."""
    drawn, axes = _figure()
    alone, *more = curve
    for point in (*more, rival):
        low, high = alone.miou + point.gain.low, alone.miou + point.gain.high
        axes.plot([point.units] * 2, [low, high], color=GREY, linewidth=6, alpha=0.35, solid_capstyle="butt")
    x, y = [point.units for point in curve], [point.miou for point in curve]
    axes.plot(x, y, color=RWS, marker="o", markersize=6, label="looked again")
    axes.plot(rival.units, rival.miou, "D", color=PLAIN, markersize=7, label="with 1.5 times its size")
    axes.set(title="mIoU against forward passes", xlabel="forward passes of an image", ylabel="mIoU (%)")
    axes.margins(y=0.15)
    _legend(drawn)
    return drawn


def weak(rows: Sequence[dict], limit: int, delta: int) -> Figure:
    """Weak slices over the cycles, with what would stop the run: a change below delta, or the limit."""
    drawn, axes = _figure()
    numbers, counts = [row["cycle"] for row in rows], [row["weak"] for row in rows]
    for place in range(1, len(rows) if delta else 0):
        low, height = counts[place - 1] - delta, 2 * delta
        label = f"stops here: changed by fewer than {delta}" if place == 1 else None
        axes.bar(numbers[place], height, 0.5, max(low, 0), color=PLAIN, alpha=0.3, label=label)
    axes.plot(numbers, counts, color=RWS, marker="o", markersize=6, label="weak slices")
    for x, y in zip(numbers, counts):
        axes.annotate(f"{y:,}", (x, y), (0, 8), textcoords="offset points", ha="center", fontsize=9.5)
    if limit <= numbers[-1] + 2:
        axes.axvline(limit, color=_INK, linestyle=":", linewidth=1.5, label=f"limit: cycle {limit}")
    axes.set(title="Weak slices of the training images", xlabel="cycle", ylabel="weak slices")
    axes.set_xlim(numbers[0] - 0.5, max(numbers[-1], 1) + 0.5)
    axes.set_ylim(0, max(*counts, 1) * 1.2 + delta)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    _legend(drawn)
    return drawn


def rounds(records: Sequence[dict]) -> Figure:
    """mIoU of the label maps of SC-CAM over its rounds."""
    drawn, axes = _figure()
    for name, colour, look in (("train", RWS, "o-"), ("val", PLAIN, "s--")):
        y = [record[name]["miou"] for record in records]
        axes.plot([record["round"] for record in records], y, look, color=colour, label=name)
    axes.set(title="mIoU of the label maps", xlabel="round", ylabel="mIoU (%)")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.margins(y=0.2)
    _legend(drawn)
    return drawn


def guidance(cycles: Sequence[CycleRecord]) -> list[Callable[[], Figure]]:
    """The panels of `rws.look.guidance_plot`, each as a figure to draw."""
    return [partial(_panel, height, draw) for height, draw in panels(cycles)]


def _panel(height: float, draw: Callable) -> Figure:
    drawn, axes = _figure(height)
    axes.grid(False)
    draw(axes)
    return drawn
