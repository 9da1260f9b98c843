"""What the configuration makes of a fused step: which images, how strongly, blended or distilled."""

import math
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor

from rws.config import FusionConfig
from rws.core.fusion import Manner, fused, weakened
from rws.data.batches import portion
from rws.data.views import TrainBatch
from rws.method.fuse import BankFusion
from rws.runtime.seeding import derive_seed


def strength(anneal: str, step: int, steps: int) -> float:
    """Factor on the slices' share at a step: 1 at the first, and with annealing 0 at the last."""
    done = step / max(1, steps - 1)
    return {"none": 1.0, "linear": 1 - done, "cosine": (1 + math.cos(math.pi * done)) / 2}[anneal]


def chosen_images(count: int, share: float, step: int, seed: int) -> Tensor:
    """Which images of a batch of `count` are fused at a step.

    Shape: (count,) bool; over the steps the number is `share` of all images, whatever the batch.
    """
    number = portion(count, share, step + 1) - portion(count, share, step)
    generator = torch.Generator().manual_seed(derive_seed(seed, "fused images", step))
    chosen = torch.zeros(count, dtype=torch.bool)
    chosen[torch.randperm(count, generator=generator)[:number]] = True
    return chosen


@dataclass(frozen=True)
class Recipe:
    """Fuses the steps of one training as configured; `steps` and `seed` are those of the training."""

    fusion: BankFusion
    config: FusionConfig
    steps: int
    seed: int

    def __call__(self, batch: TrainBatch, step: int) -> AbstractContextManager:
        """The context in which the batch's forward pass is fused."""
        config = self.config
        blends = self.fusion.blends(batch)
        if config.share < 1:
            chosen = chosen_images(len(batch.ids), config.share, step, self.seed)
            keep = chosen.float()[:, None, None, None].to(self.fusion.device)
            blends = {stage: weakened(blend, keep) for stage, blend in blends.items()}
        manner = Manner(
            normalise=config.normalise,
            strength=strength(config.anneal, step, self.steps),
            distill=config.distill,
            replace=config.replace,
        )
        return fused(self.fusion.stages, blends, manner)
