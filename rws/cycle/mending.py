"""Files of a run that no step leaves for a later one: last.pt has a twin, and best.pt is in no state.

Where best.pt is lost, the run goes back to before it was made; where that cannot be, another network takes
its place, which is said.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from rws.cycle.artifacts import Artifacts
from rws.cycle.faults import fault, fault_of
from rws.errors import UserError
from rws.runs import checkpoint
from rws.runs.record import EpochRecord, RunState, shown, training_key


class Best(NamedTuple):
    """The epoch that best.pt is from."""

    cycle: int
    epoch: int
    miou: float


def is_better(cycle: int, miou: float, than_cycle: int, than_miou: float) -> bool:
    """Whether a network takes the place of the best one; one of cycle 0 gives way to any of a later cycle."""
    return miou > (-1.0 if than_cycle == 0 < cycle else than_miou)


def best_of(histories: Sequence[Sequence[EpochRecord]]) -> Best | None:
    """The best epoch of the trainings on whole images of cycles 0, 1, ...; None before one was evaluated."""
    best = None
    for k, history in enumerate(histories):
        for record in (r for r in history if "miou" in r):
            if best is None or is_better(k, record["miou"], best.cycle, best.miou):
                best = Best(k, record["epoch"], record["miou"])
    return best


def mend_last(artifacts: Artifacts, state: RunState) -> list[str]:
    """Let last.pt and the network of the last training on whole images stand for each other; what to say."""
    k = state.cycle - (state.step == "whole")
    if k < 0:
        return []
    whole, last = artifacts.left("whole", k), artifacts.last
    of_whole, of_last = fault(whole), fault(last)
    if of_last and not of_whole:
        return [_made_anew(last, of_last, whole)]
    if of_whole and not of_last and whole.exists() and checkpoint.load(last).get("cycle") == k:
        return [_made_anew(whole, of_whole, last)]
    return []


def mend_best(artifacts: Artifacts, state: RunState) -> tuple[RunState, list[str]]:
    """Make best.pt anew where it is damaged or gone: the state to go on from, and what to say."""
    wrong = fault(artifacts.best)
    best = best_of([*(c.whole for c in state.cycles), _under_way(artifacts, state)])
    if not wrong or (best is None and not artifacts.best.exists()):
        return state, []
    if best is not None and _is_of(best, whole := artifacts.left("whole", best.cycle)):
        return state, [_made_anew(artifacts.best, wrong, whole)]
    artifacts.best.unlink(missing_ok=True)
    if best is None or (best.cycle == 0 < state.cycle and state.stopped is None):
        return state, [f"{_what(wrong)}; the next epoch that is evaluated takes its place"]
    earlier = _before(best.cycle, artifacts, state)
    if earlier is None:
        return state, [_replaced(artifacts, wrong, best)]
    if earlier == state:
        artifacts.forget_training()
    return earlier, [f"{_what(wrong)}; going back to the beginning of {shown('whole', best.cycle)}"]


def _what(wrong: str) -> str:
    return wrong.partition(";")[0]


def _made_anew(path: Path, wrong: str, source: Path) -> str:
    checkpoint.copy(source, path)
    return f"{_what(wrong)}; made anew from {source}"


def _under_way(artifacts: Artifacts, state: RunState) -> list[EpochRecord]:
    """The history of the training on whole images that the run is in, as far as it is stored."""
    if state.step == "whole":
        key = training_key("whole", state.cycle)
        for path in (artifacts.training, checkpoint.before(artifacts.training)):
            if not fault(path) and (stored := checkpoint.load(path)).get("key") == key:
                return stored["history"]
    return []


def _is_of(best: Best, path: Path) -> bool:
    """Whether a sound file holds the network of this epoch."""
    if fault(path):
        return False
    stored = checkpoint.load(path)
    return (stored.get("cycle"), stored.get("epoch")) == (best.cycle, best.epoch)


def _before(k: int, artifacts: Artifacts, state: RunState) -> RunState | None:
    """The state before the training of cycle k on whole images; None where its files are no more."""
    if k == 0:
        return RunState()
    if (state.step, state.cycle) == ("whole", k):
        return state
    after = [artifacts.after(step, k - 1) for step in ("teach", "select")]  # select in runs of older versions
    path = next(filter(Path.is_file, after), after[0])
    try:
        found = artifacts.read_state(path) if path.is_file() else None
    except UserError:
        return None
    return found if found and not fault_of(found, artifacts) else None


def _replaced(artifacts: Artifacts, wrong: str, best: Best) -> str:
    """Let the best network that is left take the place of the one that is lost."""
    left = [(artifacts.left("whole", k), k) for k in artifacts.cycles() if k]
    sound = [path for path, _ in left if not fault(path)] or [artifacts.last]
    source = max(sound, key=lambda path: checkpoint.load(path)["miou"])
    checkpoint.copy(source, artifacts.best)
    lost = f"that of cycle {best.cycle}, epoch {best.epoch}, mIoU {best.miou:.2f}, is lost"
    return f"{_what(wrong)}; {lost}; {source}, mIoU {checkpoint.load(source)['miou']:.2f}, takes its place"
