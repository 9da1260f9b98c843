"""Images with what image-level supervision knows of them: which classes they hold."""

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import v2
from tqdm import tqdm

from rws.data import Split
from rws.data.batches import SeededBatches
from rws.data.transforms import to_tensors


def image_labels(split: Split) -> np.ndarray:
    """Which foreground classes each image holds; all that training sees of the labels.

    Shape: (N, F) float32, 0 or 1.
    """
    foreground = np.array(split.classes.foreground)
    rows = [
        np.isin(foreground, np.unique(split.label(image_id)))
        for image_id in tqdm(split.ids, desc="image labels", unit="image", leave=False)
    ]
    return np.stack(rows).astype(np.float32)


class TrainImages(Dataset):
    """Augmented images, each with its index; an index comes with the seed of its augmentation."""

    def __init__(self, split: Split, transform: v2.Transform):
        self.split, self.transform = split, transform

    def __len__(self) -> int:
        return len(self.split)

    def __getitem__(self, index_and_seed: tuple[int, int]) -> tuple[Tensor, int]:
        index, seed = index_and_seed
        image, _ = to_tensors(self.split.image(self.split.ids[index]), np.zeros((1, 1), np.uint8))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            return self.transform(image).as_subclass(Tensor), index


def train_loader(images: TrainImages, batches: SeededBatches, workers: int) -> DataLoader:
    """Batches (N, 3, H, W) with the images' indices (N,)."""
    return DataLoader(images, batch_sampler=batches, num_workers=workers)
