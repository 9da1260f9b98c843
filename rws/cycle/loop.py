"""The cycle as a resumable state machine: whole -> plain -> score -> slices -> select -> whole -> ...

That is: train, and train the plain network; look and find; train on slices; select; train again, now fused.
Every step reads what earlier steps left in the run's folder, writes its own result there, and only then is
the state written; a step that was cut off is simply run again, and draws the same random numbers.
"""

import time
from collections.abc import Sequence
from dataclasses import asdict, replace

from rws.cli import flatten
from rws.cycle.artifacts import Artifacts
from rws.cycle.context import Hook, RunContext
from rws.cycle.hooks import standard_hooks
from rws.cycle.recovery import recover
from rws.cycle.setup import Setup
from rws.cycle.steps import ACTIONS, uses_slices
from rws.runs import checkpoint
from rws.runs.loggers import Logger, open_loggers
from rws.runs.record import STEPS, CycleRecord, Part, RunState, new_record
from rws.runs.summary import summarise
from rws.runtime.bars import say
from rws.runtime.distributed import barrier, is_first, of_first


def following(step: str, cycle: int) -> tuple[str, int]:
    """The step after a step; the cycle counts up before each training on whole images."""
    steps = list(STEPS)
    place = steps.index(step) + 1
    return (steps[place], cycle) if place < len(steps) else (steps[0], cycle + 1)


def stop_reason(weak: list[int], limit: int, delta: int) -> str | None:
    """Why the loop ends after the latest scoring, or None.

    Args:
        weak: number of weak slices after each training on whole images so far.
        limit: cycles at most.
        delta: smallest change of the number that lets the loop go on.
    Source: METHOD step 6.
    """
    if weak[-1] == 0:
        return "no weak slices"
    if len(weak) > limit:
        return f"cycle limit {limit}"
    if len(weak) > 1 and abs(weak[-1] - weak[-2]) < delta:
        return f"weak slices changed by {abs(weak[-1] - weak[-2])}, fewer than {delta}"
    return None


def _loggers(setup: Setup) -> tuple[Logger, ...]:
    """The loggers that a configuration asks for."""
    config = setup.config
    return tuple(open_loggers(config.log, setup.folder, config.name, flatten(asdict(config))))


class Run:
    """One run of RWS in its folder, `setup.folder`: its state, and its steps one after another."""

    def __init__(self, setup: Setup, hooks: Sequence[Hook] = ()):
        self.artifacts = Artifacts(setup.folder)
        context = RunContext(setup, self.artifacts, loggers=_loggers(setup) if is_first() else ())
        hooks = (*standard_hooks(context), *hooks) if is_first() else ()
        self._context = replace(context, hooks=hooks)
        self.state, said = of_first(lambda: recover(self.artifacts))
        if is_first():
            say(*(f"warning: {line}" for line in said))

    @property
    def context(self) -> RunContext:
        """What a step is given now."""
        return replace(self._context, records=self.state.cycles)

    def train(self) -> None:
        """Run the steps that are left up to the last training, without looking into what it left."""
        last = "score", self._context.config.cycles.limit
        while self.state.stopped is None and (self.state.step, self.state.cycle) != last:
            self._step(self.state.step, self.state.cycle)
        self._end(None)

    def run(self) -> dict:
        """Run the steps that are left; returns the summary."""
        while self.state.stopped is None:
            self._step(self.state.step, self.state.cycle)
        config = self._context.config
        summary = summarise(config.name, config.seed, self.state.stopped, self.state.cycles)
        summary["guidance"] = list(self.context.guidance().sentences)
        if self._context.setup.changes:
            summary["changes"] = list(self._context.setup.changes)
        checkpoint.write_result(self.artifacts.summary, summary)
        self._end(summary)
        return summary

    def _step(self, step: str, k: int) -> None:
        """Run one step, add its part to the record of its cycle, and write the state."""
        if is_first():
            self.artifacts.clean(k)
        start = time.monotonic()
        part = ACTIONS[step](self.context, k)
        self.state = self._after(step, k, part, time.monotonic() - start)
        self.artifacts.write_state(step, k, self.state)
        if is_first():
            self.artifacts.forget_training()  # not before the state is written that has no need of it
        barrier()  # what the next step reads is written
        for hook in self._context.hooks:
            hook.after_step(self.context, step, k)

    def _after(self, step: str, k: int, part: Part, elapsed: float) -> RunState:
        """The state that a step leads to."""
        records = self.state.cycles
        record = records[k] if k < len(records) else new_record(k)
        records = (*records[:k], record.with_step(step, part, elapsed))
        stopped = self._stop_reason(records) if step == "score" else None
        return RunState(*following(step, k), records, stopped)

    def _stop_reason(self, records: Sequence[CycleRecord]) -> str | None:
        """As `stop_reason`; without slices the limit alone counts."""
        config = self._context.config
        # A rate that falls once has reached 0 at the limit alone.
        limit, delta = config.cycles.limit, 0 if config.cycles.annealed_once else config.cycles.delta
        if not uses_slices(config):
            return f"cycle limit {limit}" if len(records) > limit else None
        return stop_reason([record.weak_slices for record in records], limit, delta)

    def _end(self, summary: dict | None) -> None:
        for hook in self._context.hooks:
            hook.at_end(self.context, summary)
