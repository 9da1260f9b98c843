"""What is wrong with a file of a run, and with those that a state of it needs."""

from collections.abc import Iterator
from pathlib import Path

from rws.cycle.artifacts import LEFT, Artifacts
from rws.data.boxes import Box
from rws.errors import UserError
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.runs.record import RunState


def check(path: Path) -> None:
    """Read a network, targets, the boxes of slices or a bank to its end.

    Raises: UserError, DamagedFile.
    """
    if path.name == LEFT["teach"]:
        checkpoint.load(path)
    elif path.suffix == ".pt":
        checkpoint.network_in(path)
    elif path.suffix == ".json":
        if not path.is_file():
            raise UserError(f"{path}: missing")
        checkpoint.read_json(path, dict[str, list[Box]])
    else:
        try:
            Bank(path).verify()
        except (ArithmeticError, LookupError, MemoryError, RuntimeError, ValueError) as error:
            raise checkpoint.damaged(path, error) from error


def fault(path: Path) -> str:
    """What is wrong with a network, the boxes of slices or a bank; empty where it is sound."""
    try:
        check(path)
    except FileNotFoundError as error:
        return f"{error.filename or error}: missing"
    except (UserError, OSError) as error:
        return str(error)
    return ""


def fault_of(state: RunState, artifacts: Artifacts) -> str:
    """What is wrong with the files that a run in this state goes on from; empty where all are sound."""
    for path, needed in _files(state, artifacts):
        if (needed or path.exists()) and (found := fault(path)):
            return found
    return ""


def _files(state: RunState, artifacts: Artifacts) -> Iterator[tuple[Path, bool]]:
    """What this cycle and the one before have left, and whether the run cannot go on without it."""
    ended, steps = state.stopped is not None, list(LEFT)
    for k, made in ((state.cycle - 1, steps), (state.cycle, steps[: steps.index(state.step)])):
        for step in made if k >= 0 else ():
            yield artifacts.left(step, k), not ended and _is_needed(step, k, state)
    if ended:
        yield artifacts.last, True


def _is_needed(step: str, k: int, state: RunState) -> bool:
    """Whether a later step reads what a step of cycle k has left."""
    record = state.cycles[k]
    if k < state.cycle and state.step != "whole":  # of the cycle before only plain is trained further
        return step == state.step == "plain" and record.plain is not None
    by_record = {"plain": record.plain, "score": record.weak_slices, "teach": record.taught}
    by_record |= dict.fromkeys(("slices", "select"), record.slice_images)
    return step == "whole" or by_record[step] is not None
