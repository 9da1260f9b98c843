"""Images with what image-level supervision knows of them: which classes they hold."""

import numpy as np
from torch import Tensor
from torchvision.transforms import v2

from rws.data import Split
from rws.data.classes import ClassSet
from rws.data.transforms import to_tensors
from rws.data.views import TrainViews, View
from rws.runtime.bars import tracked
from rws.runtime.distributed import is_first
from rws.runtime.seeding import drawn_from


def classes_in(label: np.ndarray, classes: ClassSet) -> np.ndarray:
    """Which foreground classes a label holds.

    Shape: (H, W) -> (F,) bool.
    """
    return np.isin(classes.foreground, np.unique(label))


def image_labels(split: Split) -> np.ndarray:
    """Which foreground classes each image holds; all that training sees of the labels.

    Shape: (N, F) float32, 0 or 1.
    """
    ids = tracked(split.ids, desc="image labels", unit="image", leave=False, disable=not is_first())
    return np.stack([classes_in(split.label(image_id), split.classes) for image_id in ids]).astype(np.float32)


class ClassifiedImages(TrainViews):
    """Augmented crops of a split's images, each with its row of `labels` in place of the label of its pixels.

    Shape: labels (N, K).
    """

    def __init__(self, split: Split, transform: v2.Transform, labels: Tensor):
        super().__init__(split, [View(image_id) for image_id in split.ids], transform)
        self.labels = labels

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple:
        index, seed = index_and_seed
        image_id = self.split.ids[index]
        image, _ = to_tensors(self.split.image(image_id), np.zeros((1, 1), np.uint8))
        with drawn_from(seed):
            image = self.transform(image).as_subclass(Tensor)
        return image_id, [image, self.labels[index]], None
