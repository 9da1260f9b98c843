"""The hooks that every run has: its log, and the best network so far."""

from rws.cycle.context import Epoch, Hook, RunContext
from rws.cycle.guidance import text
from rws.cycle.mending import is_better
from rws.runs import checkpoint
from rws.runs.log import Reporter


class Log(Hook):
    """Writes the run's log and prints its table and why it stopped."""

    def __init__(self, reporter: Reporter):
        self.reporter = reporter

    def after_epoch(self, run: RunContext, epoch: Epoch) -> None:
        self.reporter.epoch(epoch.step, epoch.cycle, epoch.images, epoch.record)

    def after_step(self, run: RunContext, step: str, k: int) -> None:
        if step == "score":
            self.reporter.row(run.records[k], head=k == 0)

    def at_end(self, run: RunContext, summary: dict | None) -> None:
        if summary is not None:
            found = run.guidance()
            if found.rows:
                self.reporter.say(text(found))
            self.reporter.say(f"stopped: {summary['stopped']}")
        self.reporter.close(summary)


class KeepBest(Hook):
    """Keeps the network of RWS that is the best on val; one of cycle 0 gives way to any of a later cycle."""

    def __init__(self):
        self._kept: tuple[int, float] | None = None  # its cycle and mIoU; None until its file has been read

    def after_epoch(self, run: RunContext, epoch: Epoch) -> None:
        if epoch.step != "whole" or "miou" not in epoch.record:
            return
        self._kept = self._kept or self._stored(run)
        cycle, miou = self._kept
        if is_better(epoch.cycle, epoch.record["miou"], cycle, miou):
            run.artifacts.save_best(epoch.cycle, epoch.network, run.setup.card, epoch.record)
            self._kept = epoch.cycle, epoch.record["miou"]

    def _stored(self, run: RunContext) -> tuple[int, float]:
        """Of the network that is kept; without one, an mIoU below all."""
        if not run.artifacts.best.is_file():
            return -1, -1.0
        stored = checkpoint.load(run.artifacts.best)
        return stored["cycle"], stored["miou"]


def standard_hooks(run: RunContext) -> tuple[Hook, ...]:
    """The hooks of every run."""
    return Log(Reporter(run.artifacts.folder, run.loggers)), KeepBest()
