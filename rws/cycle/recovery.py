"""On resuming: whether the files that a run goes on from are sound; if not, back to before they were made.

A step that is run again draws the same random numbers, so what it leaves is what was lost.
"""

from collections.abc import Iterator
from pathlib import Path

from rws.cycle.artifacts import LEFT, Artifacts
from rws.errors import DamagedFile, UserError
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.runs.record import RunState


def check(path: Path) -> None:
    """Read a file of a run, or a bank, to its end.

    Raises: DamagedFile.
    """
    if path.suffix == ".pt":
        checkpoint.load(path)
    elif path.suffix == ".json":
        checkpoint.read_json(path)
    else:
        try:
            Bank(path).verify()
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise DamagedFile(f"{path}: damaged ({error})") from error


def _states(artifacts: Artifacts) -> Iterator[Path]:
    """The states that the run has been in, the latest first."""
    yield artifacts.state
    for k in reversed(artifacts.cycles()):
        for step in reversed(LEFT):
            yield artifacts.after(step, k)


def _read_by(state: RunState, artifacts: Artifacts) -> Iterator[Path]:
    """The files that a run in this state goes on from: of its cycle up to here, and of the one before."""
    if state.stopped is not None:
        return
    steps = list(LEFT)
    done = steps[: steps.index(state.step)]
    for k, made in ((state.cycle - 1, steps), (state.cycle, done)):
        for step in made:
            path = artifacts.left(step, k)
            if k >= 0 and (step == "whole" or path.exists()):
                yield path


def latest_sound_state(artifacts: Artifacts) -> tuple[RunState | None, list[str]]:
    """The latest state of a run all of whose files are sound, and what was wrong with those after it.

    None for a run that has not finished a step, or of which nothing is left.
    """
    wrong: list[str] = []
    for path in _states(artifacts):
        if not path.is_file():
            continue
        try:
            state = artifacts.read_state(path)
            for file in _read_by(state, artifacts):
                check(file)
        except (DamagedFile, UserError) as error:
            if str(error) not in wrong:
                wrong.append(str(error))
        else:
            return state, wrong
    return None, wrong
