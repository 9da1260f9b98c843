"""The cycle as a resumable state machine: whole -> plain -> score -> slices -> select -> whole -> ...

Every step reads what earlier steps left in the run's folder, writes its own result there, and only then is
the state written; a step that was cut off is simply run again, and draws the same random numbers.
"""

import shutil
import time

from rws.cycle.guidance import guidance, text
from rws.cycle.recovery import latest_sound_state
from rws.cycle.setup import Setup
from rws.cycle.steps import INSIDE, Steps
from rws.runs import checkpoint
from rws.runs.summary import closing_line, summarise
from rws.runtime.distributed import barrier, is_first

STEPS = ("whole", "plain", "score", "slices", "select")


def following(step: str, cycle: int) -> tuple[str, int]:
    """The step after a step; the cycle counts up before each training on whole images."""
    place = STEPS.index(step) + 1
    return (STEPS[place], cycle) if place < len(STEPS) else (STEPS[0], cycle + 1)


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


class Run(Steps):
    """One run of RWS in its folder, `setup.folder`."""

    def __init__(self, setup: Setup):
        super().__init__(setup)
        self.state = {"step": "whole", "cycle": 0, "cycles": [], "stopped": None}
        state, wrong = latest_sound_state(self.folder)
        self.state = state or self.state
        for message in wrong:
            what, place = message.partition(";")[0], f"cycle {self.state['cycle']}, {self.state['step']}"
            self.report.say(f"warning: {what}; going back to {place}")

    @property
    def cycles(self) -> list[dict]:
        return self.state["cycles"]

    def train(self) -> None:
        """Run the steps that are left up to the last training, without looking into what it left."""
        last = self.config.cycles.limit
        while self.state["stopped"] is None and (self.state["step"], self.state["cycle"]) != ("score", last):
            self._step(self.state["step"], self.state["cycle"])
        self.report.close()

    def run(self) -> dict:
        """Run the steps that are left; returns the summary."""
        while self.state["stopped"] is None:
            self._step(self.state["step"], self.state["cycle"])
        summary = summarise(self.config.name, self.config.seed, self.state["stopped"], self.cycles)
        found = guidance(self.cycles, "fusion" if self.config.fusion.enabled else "retraining")
        summary["guidance"] = list(found.sentences)
        checkpoint.write_json(self.folder / "summary.json", summary)
        if found.rows:
            self.report.say(text(found))
        self.report.say(f"stopped: {summary['stopped']}\n{closing_line(summary)}")
        self.report.close()
        return summary

    def _step(self, step: str, k: int) -> None:
        """Run one step, add its record to its cycle, and write the state."""
        if is_first():
            self._clean(k)
        start = time.monotonic()
        self.spent = dict.fromkeys(("before", *INSIDE), 0.0)
        record = getattr(self, f"_{step}")(k)
        # A new list, so that a step that raises leaves the state as it was.
        empty = {"cycle": k, "seconds": dict.fromkeys(INSIDE, 0.0)}
        cycles = [*self.cycles, empty] if len(self.cycles) == k else self.cycles
        cycles[k] |= record
        seconds = cycles[k]["seconds"]
        seconds[step] = round(time.monotonic() - start + self.spent["before"], 2)
        for name in INSIDE:
            seconds[name] = round(seconds.get(name, 0.0) + self.spent[name], 2)
        next_step, next_cycle = following(step, k)
        stopped = None
        if step == "score":
            stopped = self._stop_reason(cycles)
        self.state = {"step": next_step, "cycle": next_cycle, "cycles": cycles, "stopped": stopped}
        # One for each step, so that another run can start from what this one did up to there.
        checkpoint.write_json(self._cycle(k) / f"after_{step}.json", self.state)
        checkpoint.write_json(self.folder / "state.json", self.state)
        barrier()  # what the next step reads is written
        if step == "score":
            self.report.row(cycles[k], head=k == 0)

    def _stop_reason(self, cycles: list[dict]) -> str | None:
        """As `stop_reason`; without slices the limit alone counts."""
        limit, delta = self.config.cycles.limit, self.config.cycles.delta
        if not self._uses_slices():
            return f"cycle limit {limit}" if len(cycles) > limit else None
        return stop_reason([c["weak_slices"] for c in cycles], limit, delta)

    def _clean(self, k: int) -> None:
        """Remove what no later step reads: networks and banks of the cycles before the last one."""
        for old in range(k - 1):
            for name in ("whole.pt", "plain.pt", "slices.pt"):
                (self._cycle(old) / name).unlink(missing_ok=True)
            shutil.rmtree(self._cycle(old) / "bank", ignore_errors=True)
