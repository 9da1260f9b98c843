"""One training that can stop and go on, and evaluation."""

import math
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from rws.config import TrainConfig
from rws.data.views import TrainBatch, train_loader
from rws.errors import UserError
from rws.runs import checkpoint
from rws.runtime.bars import say, tracked
from rws.runtime.distributed import is_first, summed, world
from rws.runtime.signals import Interrupted, at_once, deferred
from rws.training.job import Job
from rws.training.stepping import Stepper


class Training:
    """Runs a job; writes its state to `path` as it goes, and goes on from there if it finds the same job."""

    def __init__(self, network: nn.Module, job: Job, config: TrainConfig, path: Path, ignore_index: int):
        self.network, self.job, self.config, self.path = network, job, config, path
        self.stepper = Stepper(network, job, config, ignore_index)
        # Those that are to stay finite: a network may hold masks that are not.
        self.finite = [name for name, value in network.state_dict().items() if _is_finite(value)]
        self.history: list[dict] = []
        # Both since the last record.
        self.loss_sum, self.seconds_steps = 0.0, 0.0
        self.step, self.ended = 0, False
        # Of the whole training before this process went on with it.
        self.seconds_before = 0.0
        self._begun = self._stored = time.perf_counter()
        self._restore()
        # Waits for the other processes, so that none restores what the first stores later.
        self.stepper.share()

    def _restore(self) -> None:
        state = self._stored_state()
        if state is None or state["key"] != self.job.key or state.get("job", self._size) != self._size:
            return
        self.network.load_state_dict(state["model"])
        self.stepper.restore(state)
        self.history, self.step = state["history"], state["step"]
        self.loss_sum, self.seconds_steps = state["loss_sum"], state.get("seconds_steps", 0.0)
        self.seconds_before = state.get("seconds", 0.0)

    @property
    def _size(self) -> list[int]:
        """Of the job: another number of images or steps is another job."""
        return [self.job.steps, len(self.job.views)]

    def _stored_state(self) -> dict | None:
        """The newest state that is sound; with a warning where that is the one before the last."""
        older = checkpoint.before(self.path)
        for path, instead in ((self.path, "from the state before it"), (older, "from the beginning")):
            try:
                if path.is_file():
                    return checkpoint.load(path)
            except UserError as error:  # also where a bit of the format's name has changed
                if is_first():
                    say(f"warning: {error}; going on {instead}")
        return None

    def _store(self) -> None:
        self._check_weights()
        self._stored = time.perf_counter()
        state = {
            "key": self.job.key,
            "job": self._size,
            "model": self.network.state_dict(),
            **self.stepper.state(),
            "history": self.history,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds_steps": self.seconds_steps,
            "seconds": self.seconds_before + self._stored - self._begun,
        }
        checkpoint.save(self.path, state, keep=True)

    def run(self, on_epoch: Callable[[dict], None] = lambda record: None) -> list[dict]:
        """Train to the end; one record an epoch: step, loss, lr, and scores where evaluated.

        What is stored of it stays, until the caller has kept the network.

        `seconds_steps` of a record is the wall clock of its optimizer steps, waiting for the loader included,
        `seconds_eval` that of evaluating; a resumed training keeps those of before.
        """
        job = self.job
        loader = train_loader(job.views, job.batches(first=self.step), job.workers)
        bar = tracked(
            total=job.steps,
            initial=self.step,
            desc=job.title or job.key,
            unit="step",
            leave=False,
            disable=not is_first(),
        )
        with deferred() as signalled, bar:
            try:
                self._steps(loader, bar, on_epoch, signalled)
            except RuntimeError:
                # A signal to the whole process group ends the loader's processes, too, perhaps within a step:
                # then the last checkpoint stands.
                if signalled() is None:
                    raise
                raise Interrupted(signalled()) from None
        return self.history

    def _steps(
        self,
        loader: Iterable[TrainBatch],
        bar: tqdm,
        on_epoch: Callable[[dict], None],
        signalled: Callable[[], int | None],
    ) -> None:
        """Take the steps of the loader; after a signal to any process store the training and stop.

        Raises: Interrupted.
        """
        start = time.perf_counter()
        for batch in self._waited_for(loader):
            stop = self._one_step(batch, signalled)
            self.seconds_steps += time.perf_counter() - start
            bar.update()
            bar.set_postfix(loss=f"{self.loss_sum / (self._in_epoch() or 1):.3f}", refresh=False)
            self._after_step(on_epoch)
            if self.ended:
                return
            if stop:
                self._store()
                raise Interrupted(signalled() or signal.SIGTERM)
            start = time.perf_counter()

    def _waited_for(self, loader: Iterable[TrainBatch]) -> Iterator[TrainBatch]:
        """The loader's batches. A signal while one process waits stores the training and stops it there: the
        loader may hang with its disk. Several processes stop together, after a step.

        Raises: Interrupted.
        """
        batches = iter(loader)
        while True:
            try:
                with at_once() if world() == 1 else nullcontext():
                    batch = next(batches)
            except StopIteration:
                return
            except Interrupted:
                self._store()
                raise
            yield batch

    def _in_epoch(self) -> int:
        """Steps since the last record."""
        return self.step - (self.history[-1]["step"] if self.history else 0)

    def _one_step(self, batch: TrainBatch, signalled: Callable[[], int | None]) -> bool:
        """Take a step; whether any process was told to stop."""
        loss = self.stepper.take(batch, self.step)
        # The step's only wait for the device comes last, so that nothing is launched late. A loss that is not
        # finite ends the training before these weights are stored.
        stop = loss.new_tensor(float(signalled() is not None))
        value, stops = summed(torch.stack([loss, stop])).tolist()
        if not math.isfinite(value):
            self._refuse(value, batch)
        self.loss_sum += value
        self.step += 1
        return stops > 0

    def _refuse(self, loss: float, batch: TrainBatch) -> None:
        """Raises: UserError; the ids of the batch are left in a file beside the training's state."""
        path = self.path.with_name("not_finite.json")
        found = {"training": self.job.key, "step": self.step, "loss": str(loss), "ids": list(batch.ids)}
        checkpoint.write_result(path, found)
        raise UserError(
            f"{self.job.title or self.job.key}: loss {loss} at step {self.step}, images "
            f"{', '.join(batch.ids)} ({path}); "
            "look at these images, lower --train.lr, or take --train.precision fp32"
        )

    def _check_weights(self) -> None:
        """Raises: UserError for weights that are not finite, which are neither evaluated nor stored."""
        weights = self.network.state_dict()
        if wrong := next((name for name in self.finite if not _is_finite(weights[name])), None):
            raise UserError(
                f"{self.job.title or self.job.key}: {wrong} is not finite after step {self.step}, so this "
                "network is not kept; lower --train.lr, or take --train.precision fp32"
            )

    def _after_step(self, on_epoch: Callable[[dict], None]) -> None:
        job, every = self.job, self.config.checkpoint_steps
        done = self.step == job.steps
        if (self.step + job.steps_before) % job.steps_per_epoch == 0 or done:
            self._check_weights()
            average = self.stepper.average
            with average.in_place_of(self.network) if average else nullcontext():
                self._end_epoch(on_epoch, done)
            self.ended = done or self._has_stalled()
            if not self.ended:  # the caller keeps the network of a finished training
                self._store()
            elif average:
                average.move_into(self.network)
        elif (every and self.step % every == 0) or self._minutes_are_over():
            self._store()

    def _has_stalled(self) -> bool:
        """Whether so many evaluations as `early_stop` says have brought no better mIoU, which it says."""
        patience = self.config.early_stop
        if patience is None or evaluations_since_best(self.history) < patience:
            return False
        if is_first():
            say(
                f"{self.job.title or self.job.key}: no better mIoU in {patience} evaluations; stopped after "
                f"step {self.step} of {self.job.steps} (train.early_stop)"
            )
        return True

    def _minutes_are_over(self) -> bool:
        """By the first process's clock alone, which alone writes."""
        minutes = self.config.checkpoint_minutes
        return bool(minutes) and time.perf_counter() - self._stored > 60 * minutes

    def _end_epoch(self, on_epoch: Callable[[dict], None], done: bool) -> None:
        record = {
            "epoch": -(-(self.step + self.job.steps_before) // self.job.steps_per_epoch),
            "loss": self.loss_sum / self._in_epoch(),
            "lr": self.stepper.optimizer.param_groups[0]["lr"],
        }
        due = done or record["epoch"] % self.config.eval_every == 0
        start = time.perf_counter()
        if self.job.evaluate and due:
            record |= self.job.evaluate(self.network)
        seconds = {"seconds_steps": self.seconds_steps, "seconds_eval": time.perf_counter() - start}
        record |= {"step": self.step, **{name: round(value, 3) for name, value in seconds.items()}}
        self.history.append(record)
        self.loss_sum = self.seconds_steps = 0.0
        on_epoch(record)


def evaluations_since_best(history: Sequence[dict]) -> int:
    """The number of evaluations after the best one; 0 before the first."""
    scores = [record["miou"] for record in history if "miou" in record]
    return len(scores) - 1 - scores.index(max(scores)) if scores else 0


def _is_finite(value: Tensor) -> bool:
    return not value.is_floating_point() or bool(value.isfinite().all())
