"""On resuming: whether the files that a run goes on from are sound; if not, back to before they were made.

A step that is run again draws the same random numbers, so what it leaves is what was lost.
"""

from collections.abc import Iterator
from pathlib import Path

from rws.cycle.artifacts import LEFT, Artifacts
from rws.cycle.faults import fault_of
from rws.cycle.mending import mend_best, mend_last
from rws.errors import DamagedFile
from rws.runs import checkpoint
from rws.runs.record import RunState, shown


def recover(artifacts: Artifacts) -> tuple[RunState, list[str]]:
    """The state that a run goes on from, and what is to be said of it; one process does it for all."""
    newest = next((state for _, state in _states(artifacts) if isinstance(state, RunState)), RunState())
    said = mend_last(artifacts, newest)
    found, wrong = latest_sound_state(artifacts)
    state = found or RunState()
    said += [f"{what.partition(';')[0]}; going back to {shown(state.step, state.cycle)}" for what in wrong]
    if any(path == artifacts.state and isinstance(was, DamagedFile) for path, was in _states(artifacts)):
        checkpoint.write_json(artifacts.state, state.to_dict())  # a run that has ended writes it no more
    state, of_best = mend_best(artifacts, state)
    return state, said + of_best + _of_old_run(artifacts)


def _of_old_run(artifacts: Artifacts) -> list[str]:
    newest = next((path for path, state in _states(artifacts) if isinstance(state, RunState)), None)
    if newest is None or checkpoint.has_checksum(newest):
        return []
    return [f"{newest}: of an older version, without a checksum; damage in its JSON files may go unnoticed"]


def _states(artifacts: Artifacts) -> Iterator[tuple[Path, RunState | DamagedFile]]:
    """The states that the run has been in, the latest first, or what is wrong with their files."""
    after = [artifacts.after(step, k) for k in reversed(artifacts.cycles()) for step in reversed(LEFT)]
    for path in (artifacts.state, *after):
        if path.is_file():
            try:
                yield path, artifacts.read_state(path)
            except DamagedFile as error:
                yield path, error


def latest_sound_state(artifacts: Artifacts) -> tuple[RunState | None, list[str]]:
    """The latest state of a run all of whose files are sound, and what was wrong with those after it.

    None for a run that has not finished a step, or of which nothing is left.
    """
    wrong: list[str] = []
    for _, state in _states(artifacts):
        found = fault_of(state, artifacts) if isinstance(state, RunState) else str(state)
        if not found:
            return state, wrong
        if found not in wrong:
            wrong.append(found)
    return None, wrong
