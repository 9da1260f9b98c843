"""A small set in VOC layout, written a file at a time."""

from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.classes import ClassSet

THREE = ClassSet(("background", "cat", "dog"), ((0, 0, 0), (200, 0, 0), (0, 200, 0)), background=0)


class VocFolder:
    """Writes a data set in VOC layout, a file at a time."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for folder in ("JPEGImages", "SegmentationClass", "ImageSets/Segmentation"):
            (root / folder).mkdir(parents=True)

    def image(self, name: str, size=(6, 8), suffix=".jpg", mode="RGB") -> Path:
        path = self.root / "JPEGImages" / f"{name}{suffix}"
        pixels = np.arange(size[0] * size[1], dtype=np.uint8).reshape(size)
        Image.fromarray(pixels).convert(mode).save(path)
        return path

    def label(self, name: str, values) -> Path:
        path = self.root / "SegmentationClass" / f"{name}.png"
        label = Image.fromarray(np.asarray(values, np.uint8))
        label.putpalette(THREE.flat_palette())
        label.save(path)
        return path

    def pair(self, name: str, value: int = 1, size=(6, 8)) -> None:
        self.image(name, size)
        values = np.zeros(size, np.uint8)
        values[1, 2:5], values[0, 0] = value, 255
        self.label(name, values)

    def list(self, name: str, ids, folder="ImageSets/Segmentation") -> Path:
        path = self.root / folder / f"{name}.txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("".join(f"{image_id}\n" for image_id in ids))
        return path
