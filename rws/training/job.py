"""What one training works on."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass

from torch import Tensor, nn

from rws.data.batches import MixedBatches, SeededBatches
from rws.data.targets import TaughtViews
from rws.data.views import TrainBatch, TrainViews


@dataclass(frozen=True)
class Curve:
    """A part of one fall of the learning rate: from step `first` to `last` of `steps`."""

    first: int
    last: int
    steps: int


@dataclass(frozen=True)
class Job:
    """What one training works on.

    key: names the training; with the run's seed it fixes all random numbers. title: the same for people.
    steps: optimizer steps in all; batch_size images each.
    steps_per_epoch: how often the history gets a record.
    evaluate: gives scores of the network, for the history; None trains without.
    fusion: gives the context in which the forward pass of a batch, at a step, is fused, as a value of which
        a list of losses to add, or None; without it the training is plain.
    curve: the part of the learning rate's curve that the training takes; None takes a whole one of `steps`.
    steps_before: steps that count towards the epochs but were taken elsewhere.
    loss: gives the loss of a batch from the network's output and the batch's labels; None takes that of a
        segmentation. Of several processes each calls it with its part of the batch; the losses are summed.
    class_weights: of the classes in the cross-entropy; None counts every pixel the same.
    slices: the last so many of the views are slices, or photographs without labels, and `slice_mix` of each
        batch is taken from them.
    """

    key: str
    views: TrainViews | TaughtViews
    steps: int
    steps_per_epoch: int
    batch_size: int
    seed: int
    workers: int
    evaluate: Callable[[nn.Module], dict] | None = None
    fusion: Callable[[TrainBatch, int], AbstractContextManager] | None = None
    curve: Curve | None = None
    steps_before: int = 0
    loss: Callable[[dict[str, Tensor], Tensor], Tensor] | None = None
    class_weights: tuple[float, ...] | None = None
    slices: int = 0
    slice_mix: float = 0.0
    title: str = ""

    def place(self, step: int) -> tuple[float, int]:
        """Where on the curve of the learning rate a step lies, and how many steps that has."""
        if self.curve is None:
            return step, self.steps
        curve = self.curve
        return curve.first + (curve.last - curve.first) * step / self.steps, curve.steps

    def batches(self, first: int) -> SeededBatches | MixedBatches:
        """The batches from step `first` on."""
        views = len(self.views) - self.slices
        whole = SeededBatches(views, self.batch_size, self.steps, self.seed, first)
        if not self.slices:
            return whole
        return MixedBatches(whole, self.slices, self.slice_mix)
