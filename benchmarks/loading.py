"""load: batches of training crops from files, beside a loader written as torchvision's references have it."""

import os
import tempfile
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchvision.transforms import functional as F

from benchmarks.inputs import IGNORE
from benchmarks.rows import Context, Row, make_row
from benchmarks.timing import Work, alternate
from rws.data import DATASETS, Reading, VocLayout
from rws.data.batches import SeededBatches
from rws.data.transforms import Geometry, Normalisation, train_transform
from rws.data.views import TrainViews, View, train_loader
from rws.models.family import IMAGENET_MEAN, IMAGENET_STD


class _ReferenceCrops(Dataset):
    """Pairs read and augmented as torchvision's references/segmentation does it, written anew.

    Pillow images through a random resize, a flip and a padded crop, then tensors, float and normalised.
    """

    def __init__(self, split: VocLayout, crop: tuple[int, int]):
        folder, labels = split.root / "JPEGImages", split.root / "SegmentationClass"
        self.files = [(folder / f"{i}.jpg", labels / f"{i}.png") for i in split.ids]
        self.crop = crop

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        image_file, label_file = self.files[index]
        image, label = Image.open(image_file).convert("RGB"), Image.open(label_file)
        size = int(torch.randint(min(self.crop) // 2, 2 * min(self.crop) + 1, ()))
        image = F.resize(image, size, antialias=True)
        label = F.resize(label, size, interpolation=F.InterpolationMode.NEAREST)
        if torch.rand(()) < 0.5:
            image, label = F.hflip(image), F.hflip(label)
        image, label = self._crop(image, label)
        tensor = F.normalize(F.convert_image_dtype(F.pil_to_tensor(image)), IMAGENET_MEAN, IMAGENET_STD)
        return tensor, torch.as_tensor(np.array(label), dtype=torch.int64)

    def _crop(self, image: Image.Image, label: Image.Image) -> tuple[Image.Image, Image.Image]:
        height, width = self.crop
        padding = [0, 0, max(0, width - image.width), max(0, height - image.height)]
        image, label = F.pad(image, padding), F.pad(label, padding, fill=IGNORE)
        top = int(torch.randint(image.height - height + 1, ()))
        left = int(torch.randint(image.width - width + 1, ()))
        return F.crop(image, top, left, height, width), F.crop(label, top, left, height, width)


def _write_set(root: Path, count: int, size: tuple[int, int]) -> None:
    """Photograph-like noise and labels in VOC layout."""
    for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
        (root / folder).mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(count):
        coarse = Image.fromarray(rng.integers(0, 256, (size[0] // 8, size[1] // 8, 3), np.uint8))
        coarse.resize(size[::-1], Image.Resampling.BICUBIC).save(
            root / f"JPEGImages/{number}.jpg", quality=92
        )
        blocks = rng.integers(0, 21, (5, 5), np.uint8).repeat(size[0] // 5, 0).repeat(size[1] // 5, 1)
        label = Image.fromarray(blocks).resize(size[::-1], Image.Resampling.NEAREST)
        label.putpalette(DATASETS["voc2012"].flat_palette())
        label.save(root / f"SegmentationClass/{number}.png")
    ids = "".join(f"{number}\n" for number in range(count))
    (root / "ImageSets/Segmentation/train.txt").write_text(ids)


def _ours(split: VocLayout, crop: tuple[int, int], batch: int, steps: int, workers: int) -> Work:
    transform = train_transform(Geometry(min(crop), crop), Normalisation(IMAGENET_MEAN, IMAGENET_STD), IGNORE)
    views = TrainViews(split, [View(i) for i in split.ids], transform)

    def work() -> None:
        for _ in train_loader(views, SeededBatches(len(split), batch, steps, seed=0), workers):
            pass

    return work


def load(context: Context) -> list[Row]:
    """An epoch from files and from the cache of decoded files, beside the reference loader from files."""
    count, size, crop = (8, (40, 50), (32, 32)) if context.tiny else (128, (375, 500), (480, 480))
    batch, workers = (2, 0) if context.tiny else (8, min(8, os.cpu_count() or 1))
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "set"
        _write_set(root, count, size)
        classes, cached = DATASETS["voc2012"], Reading(cache=Path(name) / "cache")
        peer_set = _ReferenceCrops(VocLayout(root, "train", classes), crop)
        peer_loader = DataLoader(peer_set, batch, shuffle=True, drop_last=True, num_workers=workers)

        def peer() -> None:
            for _ in peer_loader:
                pass

        rows = []
        for label, reading in (("load", Reading()), ("load-cached", cached)):
            split = VocLayout(root, "train", classes, reading=reading)
            ours = _ours(split, crop, batch, count // batch, workers)
            samples = alternate(ours, peer, context.repeats, torch.device("cpu"))
            sizes = {
                "images": count,
                "size": list(size),
                "crop": list(crop),
                "batch": batch,
                "workers": workers,
            }
            note = "an epoch of training crops; peer: torchvision's references/segmentation, from files"
            rates = dict(zip(("images_per_s", "peer_images_per_s"), (count / s for s in samples.medians)))
            rows.append(make_row(label, samples, None, sizes, figures=rates, note=note))
    return rows
