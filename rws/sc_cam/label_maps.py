"""Label maps of whole images whose classes are known: their mIoU, and their pictures."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rws.data.classes import ClassSet
from rws.data.eval_images import EvalBatch
from rws.data.label_images import colour_label
from rws.models.sc_cam import SubCategoryNetwork
from rws.runtime.bars import tracked
from rws.runtime.device import device_of
from rws.runtime.distributed import is_first
from rws.runtime.files import save_picture
from rws.sc_cam.cams import label_map, multi_scale_maps
from rws.sc_cam.images import classes_in
from rws.training.evaluation import as_scores, confusion_matrix


@dataclass(frozen=True, eq=False)
class LabelMaps:
    """The label maps of a network in eval mode, made at `scales`."""

    network: SubCategoryNetwork
    classes: ClassSet
    scales: Sequence[float]

    def scores(self, batches: Iterable[EvalBatch], thresholds: Sequence[float]) -> dict[float, dict]:
        """mIoU of the label maps at each threshold; of several processes each passes its own batches."""
        classes, device = self.classes, device_of(self.network)
        matrices = {
            t: confusion_matrix(classes.num_classes, classes.ignore_index).to(device) for t in thresholds
        }
        for batch, maps, present in self._maps(batches):
            labels = batch.labels.to(device)
            for threshold, matrix in matrices.items():
                matrix.update(label_map(maps, present, threshold), labels)
        return {t: as_scores(matrix.compute().cpu(), classes.names) for t, matrix in matrices.items()}

    def write(self, batches: Iterable[EvalBatch], threshold: float, folder: Path) -> None:
        """Write each image's label map as <id>.png; a segmentation network can be trained on them."""
        for batch, maps, present in self._maps(batches):
            for image_id, label in zip(batch.ids, label_map(maps, present, threshold).cpu().numpy()):
                save_picture(colour_label(label.astype(np.uint8), self.classes), folder / f"{image_id}.png")

    def _maps(self, batches: Iterable[EvalBatch]) -> Iterator[tuple[EvalBatch, Tensor, Tensor]]:
        """Batches with their maps at the labels' size and the classes that each image holds."""
        for batch in tracked(batches, desc="maps", unit="batch", leave=False, disable=not is_first()):
            present = np.stack([classes_in(label, self.classes) for label in batch.labels.numpy()])
            size = tuple(batch.labels.shape[-2:])
            maps = multi_scale_maps(self.network, batch.images, size, self.scales)
            yield batch, maps, torch.from_numpy(present).to(maps.device)
