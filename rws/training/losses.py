"""The losses of a segmentation by name: cross-entropy, Dice, focal and Lovász, and sums of them.

All but the cross-entropy are those of segmentation_models_pytorch.

Sources: F. Milletari et al., "V-Net", 3DV 2016 (Dice); T.-Y. Lin et al., "Focal Loss for Dense Object
Detection", ICCV 2017; M. Berman et al., "The Lovász-Softmax Loss", CVPR 2018.
"""

import importlib
from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from operator import add
from types import ModuleType

import torch.nn.functional as F
from torch import Tensor

from rws.errors import UserError
from rws.runtime.distributed import summed, world


@dataclass(frozen=True)
class Criterion:
    """A sum of losses by name; `weights` are those of the classes in the cross-entropy.

    Shape: weights (C,).
    """

    names: tuple[str, ...] = ("cross_entropy",)
    weights: Tensor | None = None

    def amount(self, labels: Tensor, ignore_index: int) -> Tensor:
        """How much labels count in the cross-entropy: each pixel that is not ignored, by its class's weight.

        Shape: (N, H, W) -> scalar.
        """
        known = labels != ignore_index
        if self.weights is None:
            return known.sum()
        return (self.weights[labels.where(known, 0)] * known).sum()

    def of_batch(self, labels: Tensor, ignore_index: int) -> Callable[[Tensor], Tensor]:
        """The loss of logits for these labels.

        Of several processes each has a part of the batch: the sum of their losses is that of the whole batch,
        for Dice and Lovász the mean of those of the parts.

        Shape: labels (N, H, W); logits (N, C, H, W) -> scalar, 0 when no pixel is labelled.
        """
        count = summed(self.amount(labels, ignore_index)).clamp_min(1 if self.weights is None else 1e-6)
        pixels = count if self.weights is None else summed((labels != ignore_index).sum()).clamp_min(1)

        def loss(name: str, logits: Tensor) -> Tensor:
            if name == "cross_entropy":
                taken = {"weight": self.weights, "ignore_index": ignore_index, "reduction": "sum"}
                return F.cross_entropy(logits, labels, **taken) / count
            return LIBRARY[name](logits, labels, ignore_index, pixels)

        return lambda logits: reduce(add, [loss(name, logits.float()) for name in self.names])


CROSS_ENTROPY = Criterion()


def taught_loss(logits: Tensor, targets: Tensor, ignore_index: int) -> Tensor:
    """The cross-entropy against a teacher's two likeliest classes, summed over the pixels with a target.

    Each class counts by the probability that the teacher gives it, so that what it is unsure of asks for as
    unsure an answer. Weights of the classes have no say: they had theirs when the teacher was trained.

    Shape: logits (N, C, H, W), targets (N, 4, H, W) as `rws.data.targets.planes_of` -> scalar.
    """
    known = targets[:, 0] != ignore_index
    classes = targets[:, ::2].where(known[:, None], 0)
    likely = targets[:, 1::2].where(known[:, None], 0) / 255
    found = logits.float().log_softmax(1).gather(1, classes)
    return -(likely * found).sum()


def _dice(logits: Tensor, labels: Tensor, ignore_index: int, pixels: Tensor) -> Tensor:
    """1 - Dice, averaged over all classes; a class without a pixel in the batch counts 0."""
    return _losses().DiceLoss("multiclass", ignore_index=ignore_index)(logits, labels) / world()


def _focal(logits: Tensor, labels: Tensor, ignore_index: int, pixels: Tensor) -> Tensor:
    """The focal loss of each class against the rest, averaged over pixels and classes."""
    loss = _losses().FocalLoss("multiclass", ignore_index=ignore_index, reduction="sum")
    return loss(logits, labels) / pixels


def _lovasz(logits: Tensor, labels: Tensor, ignore_index: int, pixels: Tensor) -> Tensor:
    """The Lovász-Softmax loss over the classes of the batch."""
    if not (labels != ignore_index).any():
        return logits.sum() * 0  # where the library returns no scalar
    return _losses().LovaszLoss("multiclass", ignore_index=ignore_index)(logits, labels) / world()


LIBRARY = {"dice": _dice, "focal": _focal, "lovasz": _lovasz}


def _losses() -> ModuleType:
    return importlib.import_module("segmentation_models_pytorch.losses")


def check_losses(names: tuple[str, ...]) -> None:
    """See that the library is there where a loss needs it.

    Raises: UserError.
    """
    needing = [name for name in names if name in LIBRARY]
    try:
        if needing:
            _losses()
    except ImportError as error:
        raise UserError(
            f"train.loss {needing[0]}: the package segmentation-models-pytorch is not installed; run "
            "`pip install .[smp]`, or take --train.loss cross_entropy"
        ) from error
