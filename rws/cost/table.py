"""The plan of a run as lines of text."""

from rws.config import Config
from rws.cost.reckon import Plan, reckon, with_most_slices
from rws.cost.trial import Costs
from rws.runs.record import STEPS


def duration(seconds: float) -> str:
    """Seconds, minutes or hours, whichever reads best."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def table(config: Config, costs: Costs, plan: Plan, processes: int) -> list[str]:
    """The lines: how often and how long each step of the cycle is, then disk and memory."""
    limit = config.cycles.limit
    shared = f", shared out among {processes} devices" if processes > 1 else ""
    lines = [
        f"{costs.train} training and {costs.val} validation images, at most {limit} cycles{shared}; "
        f"tried on {costs.images} images",
        f"  {'step':8}{'time':>9}{'share':>8}",
    ]
    for step, seconds in plan.seconds.items():
        lines.append(f"  {STEPS[step]:8}{duration(seconds):>9}{_share(seconds, plan.total):>8}")
    each = {
        "a training step": costs.step,
        "fused": costs.fused_step,
        "an image to evaluate": costs.evaluation,
    }
    each |= {"to look at": costs.look, "to select from": costs.select}
    lines += [
        f"  {'all':8}{duration(plan.total):>9}",
        "seconds of " + ", ".join(f"{what} {value:.3f}" for what, value in each.items() if value),
        _slices(config, costs, processes),
        f"disk: {_size(plan.bank)} for two banks, {_size(plan.files)} for networks and the training's state",
        f"memory: {_size(plan.memory)} at the peak of one process, its loaders not counted",
    ]
    return lines


def _slices(config: Config, costs: Costs, processes: int) -> str:
    """How many slices are reckoned with, and what the run takes with the most that can be."""
    found = f"slices: {costs.kept:.1f} an image, by a network after a few steps"
    most = with_most_slices(config, costs)
    if most is None:
        return f"{found}; a trained one finds more or fewer"
    longest = duration(reckon(config, most, processes).total)
    return f"{found}; with {config.slices.most_per_image}, the most that are kept, the run takes {longest}"


def _share(part: float, whole: float) -> str:
    return f"{100 * part / whole:.0f} %" if whole else "-"


def _size(count: float) -> str:
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{count / 1e6:.0f} MB"
