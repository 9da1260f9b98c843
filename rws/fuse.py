"""Step 5 over batches: what the bank holds of each image, moved to where augmentation moved its pixels."""

from contextlib import AbstractContextManager

from torch import Tensor, nn

from rws.bank import Bank, Rows
from rws.core.fusion import Blend, batch_blends, fused, sample_blend, shrink_coordinates, unfused
from rws.core.stages import find_stages, stage_shapes
from rws.data.loading import TrainBatch
from rws.placement import device_of


class BankFusion:
    """Fuses the forward pass of training batches with the features of a bank.

    Batches must carry coordinate maps and, as `attached`, what `Bank.read` gave for each image.
    """

    def __init__(self, bank: Bank, network: nn.Module, crop_size: tuple[int, int]):
        self.stages = find_stages(network, bank.stages)
        self.shapes = stage_shapes(network, bank.stages, crop_size)
        self.device = device_of(network)

    def __call__(self, batch: TrainBatch) -> AbstractContextManager:
        """The context in which the batch's forward pass is fused."""
        where = batch.where.to(self.device)
        blends = {}
        for stage, (channels, *size) in self.shapes.items():
            if any(stage in rows for rows in batch.attached):
                cells = [shrink_coordinates(w, tuple(size)) for w in where]
                each = [self._one(r.get(stage), w, channels) for r, w in zip(batch.attached, cells)]
                blends[stage] = batch_blends(each)
        return fused(self.stages, blends)

    def _one(self, rows: Rows | None, where: Tensor, channels: int) -> Blend:
        if rows is None:
            return unfused(channels, tuple(where.shape[-2:]), self.device)
        parts = tuple(t.to(self.device, non_blocking=True) for t in (rows.cells, rows.n, rows.f))
        return sample_blend(parts, rows.grid, where)
