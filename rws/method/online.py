"""Fusion without stored features: the slice network computes those of the winning slices in each step.

For sets whose bank would not fit a disk. The bank then holds, for each fused cell, n and which slice won.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rws.core.advantage import slice_features
from rws.core.stages import find_stages, stage_features
from rws.data.sliced_images import SlicedImages
from rws.method.bank import Bank, PackedRows, Rows
from rws.method.fuse import BankFusion
from rws.runtime.device import to_network


@dataclass(frozen=True, eq=False)
class SliceRows:
    """What travels with an image of a batch: its fused cells with the slice that won each, and these slices.

    slices: (K, 3, h, w), enlarged; boxes_yxhw: (K, 4); numbers: (K,) ascending, their numbers in the bank;
    size: (H, W) of the image.
    """

    packed: PackedRows
    slices: Tensor
    boxes_yxhw: Tensor
    numbers: Tensor
    size: tuple[int, int]

    def pin_memory(self) -> "SliceRows":
        """The same in page-locked memory."""
        packed, slices = self.packed.pin_memory(), self.slices.pin_memory()
        return SliceRows(packed, slices, self.boxes_yxhw, self.numbers, self.size)


class SliceReader:
    """Reads what travels with an image, in the loader's workers."""

    def __init__(self, bank: Bank, images: SlicedImages):
        self.bank, self.images = bank, images

    def __call__(self, image_id: str) -> SliceRows | PackedRows:
        """The rows of an image with its winning slices; without rows, what the bank gives."""
        packed = self.bank.read(image_id)
        if not packed:
            return packed
        numbers = torch.cat([rows.f.flatten() for rows in packed.values()]).unique().long()
        item = self.images.cut(image_id, [self.images.boxes[image_id][k] for k in numbers.tolist()])
        return SliceRows(packed, item.slices, item.boxes_yxhw, numbers, tuple(item.label.shape))


class OnlineFusion(BankFusion):
    """Fuses batches whose `attached` came from `SliceReader`.

    `sliced` computes the features.
    """

    def __init__(
        self,
        bank: Bank,
        network: nn.Module,
        crop_size: tuple[int, int],
        stages: Sequence[str] | None = None,
        *,
        sliced: nn.Module,
    ):
        super().__init__(bank, network, crop_size, stages)
        self.sliced = sliced.eval().requires_grad_(False)
        self.sliced_stages = find_stages(sliced, bank.stages)

    def rows_of(self, attached: SliceRows | PackedRows) -> Mapping[str, Rows]:
        """The rows of an image, their features computed now."""
        if isinstance(attached, PackedRows):
            return {}
        features = stage_features(self.sliced, self.sliced_stages, to_network(attached.slices, self.sliced))
        packed = attached.packed.to(self.device)
        numbers, boxes = attached.numbers.to(self.device), attached.boxes_yxhw.to(self.device)
        found = {}
        for stage, rows in packed.items():
            winner = torch.full((rows.grid[0] * rows.grid[1],), -1, device=self.device)
            winner[rows.cells] = torch.searchsorted(numbers, rows.f[:, 0].long())
            f = slice_features(features[stage], boxes, winner.view(rows.grid), attached.size)
            found[stage] = Rows(rows.cells, rows.n, f, rows.grid)
        return found
