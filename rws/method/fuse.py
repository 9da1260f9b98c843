"""Step 5, fuse, over batches: the bank's rows of each image, moved to where augmentation moved its pixels."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rws.core.fusion import (
    Blend,
    FusionMode,
    batch_blends,
    fused,
    sample_blend,
    shrink_coordinates,
    unfused,
    weakened,
)
from rws.core.stages import find_stages, stage_shapes
from rws.data.batches import portion
from rws.data.views import TrainBatch
from rws.method.bank import Bank, PackedRows, Rows
from rws.runtime.device import device_of
from rws.runtime.seeding import derive_seed


class BankFusion:
    """Fuses the forward pass of training batches with the features of a bank.

    `stages` are those that are fused, all of the bank's when None. Batches must carry
    coordinate maps and, as `attached`, what `Bank.read` gave for each image.
    """

    def __init__(
        self,
        bank: Bank,
        network: nn.Module,
        crop_size: tuple[int, int],
        stages: Sequence[str] | None = None,
    ):
        names = bank.stages if stages is None else stages
        self.stages = find_stages(network, names)
        self.shapes = stage_shapes(network, names, crop_size)
        self.device = device_of(network)

    def __call__(self, batch: TrainBatch, step: int = 0) -> AbstractContextManager:
        """The context in which the batch's forward pass is fused, at every step alike."""
        return fused(self.stages, self.blends(batch))

    def blends(self, batch: TrainBatch) -> dict[str, Blend]:
        """What is blended into each stage; stages without anything are absent."""
        return self.blends_of(batch.where, batch.attached)

    def blends_of(self, where: Tensor, attached: Sequence[PackedRows]) -> dict[str, Blend]:
        """What is blended into each stage, from the coordinate maps and the rows of a batch's images."""
        where = where.to(self.device, non_blocking=True)
        attached = [self.rows_of(each) for each in attached]
        blends = {}
        for stage, (channels, *size) in self.shapes.items():
            if any(stage in rows for rows in attached):
                cells = [shrink_coordinates(w, tuple(size)) for w in where]
                each = [self._one(rows.get(stage), w, channels) for rows, w in zip(attached, cells)]
                blends[stage] = batch_blends(each)
        return blends

    def rows_of(self, attached: PackedRows) -> Mapping[str, Rows]:
        """The rows of an image by stage, on the network's device."""
        return attached.to(self.device)

    def _one(self, rows: Rows | None, where: Tensor, channels: int) -> Blend:
        if rows is None:
            return unfused(channels, tuple(where.shape[-2:]), self.device)
        return sample_blend((rows.cells, rows.n, rows.f), rows.grid, where)


GENTLE_SHARE = 0.5  # of the images of each batch are fused in the mode gentle


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
class FusionSchedule:
    """Fuses the steps of one training in a mode of `fusion.mode`; `steps` and `seed` are the training's."""

    fusion: BankFusion
    mode: str
    steps: int
    seed: int

    def __call__(self, batch: TrainBatch, step: int) -> AbstractContextManager:
        """The context in which the batch's forward pass is fused."""
        blends = self.fusion.blends(batch)
        if self.mode == "gentle":
            blends = self._in_some_images(blends, len(batch.ids), step)
        return fused(self.fusion.stages, blends, self._mode(step))

    def _mode(self, step: int) -> FusionMode:
        if self.mode == "gentle":
            return FusionMode(normalise=True, strength=1 - step / max(1, self.steps - 1))
        return FusionMode(target=self.mode == "target")

    def _in_some_images(self, blends: dict[str, Blend], count: int, step: int) -> dict[str, Blend]:
        chosen = chosen_images(count, GENTLE_SHARE, step, self.seed)
        keep = chosen.float()[:, None, None, None].to(self.fusion.device)
        return {stage: weakened(blend, keep) for stage, blend in blends.items()}
