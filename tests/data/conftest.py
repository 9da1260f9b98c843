"""A small set in VOC layout to spoil, and the real sets where they are."""

import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rws.data.classes import ClassSet

REPOSITORY = Path(__file__).resolve().parents[2]
REAL = Path(os.environ.get("RWS_DATA", REPOSITORY.parent / "shared" / "data"))
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


@pytest.fixture
def voc(tmp_path) -> VocFolder:
    """Images a, b (cat), c (dog), listed in train.txt."""
    folder = VocFolder(tmp_path / "set")
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        folder.pair(name, value)
    folder.list("train", "abc")
    return folder


@pytest.fixture
def real_set():
    """A function from the name of a real set to its folder; skips where the set is not there."""

    def find(name: str) -> Path:
        root = REAL / name
        if not (root / "SegmentationClass").is_dir():
            pytest.skip(
                f"no {name} in VOC layout: put the official set (JPEGImages, SegmentationClass, "
                f"ImageSets/Segmentation) into $RWS_DATA/{name} or ../shared/data/{name}"
            )
        return root

    return find


@pytest.fixture
def samples() -> Path:
    """A folder with ADEChallengeData2016 and cityscapes, a few images of each in their official layout."""
    if not (REAL / "samples").is_dir():
        pytest.skip(
            "no samples: put ADEChallengeData2016 and cityscapes (official layout) into $RWS_DATA/samples or "
            "../shared/data/samples"
        )
    return REAL / "samples"


@pytest.fixture
def real_davis() -> Path:
    """DAVIS sequences dog, libby and cows."""
    if not (REAL / "davis/JPEGImages/480p").is_dir():
        pytest.skip(
            "no DAVIS: put JPEGImages/480p and Annotations/480p of the sequences dog, libby and cows into "
            "$RWS_DATA/davis or ../shared/data/davis"
        )
    return REAL / "davis"
