"""The number of weak slices over the cycles of a run, and where it stops."""

from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tools.figures.canvas import BLUE, ORANGE, SMALL, TEXT, TITLE, VERMILLION, canvas
from tools.figures.source import Source

HEIGHT_INCHES = 3.4


def convergence_figure(source: Source) -> Figure:
    """Left the number of weak slices after each training, right its change beside the stop line."""
    figure = canvas(HEIGHT_INCHES, layout="constrained")
    cycles, limits = source.state["cycles"], source.config["cycles"]
    weak = [c["weak_slices"] for c in cycles]
    figure.suptitle("Weak slices over the cycles", fontsize=TITLE, fontweight="bold")
    left, right = figure.subplots(1, 2)
    _numbers(left, weak, cycles[0]["windows"], limits["limit"])
    _changes(right, weak, limits["delta"])
    right.text(0.99, 0.03, f"stopped: {source.state['stopped']}", fontsize=SMALL, ha="right",
               transform=right.transAxes)  # fmt: skip
    return figure


def _axes(axes: Axes, title: str, cycles: int) -> None:
    axes.set_title(title, fontsize=TEXT)
    axes.set_xlabel("cycle", fontsize=TEXT)
    axes.set_xticks(range(cycles))
    axes.tick_params(labelsize=SMALL)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_xlim(-0.4, cycles - 0.6 + 0.3)


def _numbers(axes: Axes, weak: list[int], windows: int, limit: int) -> None:
    axes.plot(weak, "o-", color=BLUE, linewidth=2, markersize=5, clip_on=False)
    for k, number in enumerate(weak):
        axes.annotate(
            f"{number:,}", (k, number), (0, 7), textcoords="offset points", fontsize=SMALL, ha="center"
        )
    _axes(axes, f"weak slices of {windows:,} windows", len(weak))
    axes.set_ylim(0, max(*weak, 1) * 1.18)
    if len(weak) > limit:
        axes.axvline(limit, ymax=0.7, color=ORANGE, linestyle="--", linewidth=1.5, zorder=0)
        axes.text(limit - 0.1, 0.03 * max(weak), f"limit {limit}", fontsize=SMALL, ha="right")


def _changes(axes: Axes, weak: list[int], delta: int) -> None:
    """A logarithmic scale, since the stop line is far below the first changes; 0 stands at 1."""
    changes = [abs(b - a) for a, b in pairwise(weak)]
    places = range(1, len(weak))
    axes.plot(
        places, [max(c, 1) for c in changes], "o-", color=BLUE, linewidth=2, markersize=5, clip_on=False
    )
    for k, change in zip(places, changes):
        axes.annotate(f"{change:,}", (k, max(change, 1)), (0, 7), textcoords="offset points", fontsize=SMALL,
                      ha="center")  # fmt: skip
    _axes(axes, "change since the cycle before", len(weak))
    axes.set_yscale("log")
    axes.set_ylim(1, max(*changes, delta, 10) * 3)
    axes.axhline(max(delta, 1), color=VERMILLION, linestyle="--", linewidth=1.5, zorder=0)
    text = f"the run stops below delta = {delta}"
    axes.annotate(text, (-0.35, max(delta, 1)), (0, -11), textcoords="offset points", fontsize=SMALL,
                  color=VERMILLION)  # fmt: skip
