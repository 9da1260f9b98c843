"""Small sets in the layouts as downloaded, with labels whose numbers are known here and not from the package.

A label is drawn as classes; a table written by hand gives the number of each class in the set's files.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.io import savemat

SIZE = (48, 64)
COLOURS = ((200, 40, 40), (40, 200, 40), (40, 40, 200), (200, 200, 40), (40, 200, 200))


@dataclass(frozen=True)
class Layout:
    """A set: its name for --data.name, the file's number of some classes, the number that counts nowhere."""

    name: str
    numbers: dict[int, int]
    void: int
    write: Callable[[Path, str, str, np.ndarray, np.ndarray], None]
    finish: Callable[[Path], None] = lambda root: None

    def make(self, root: Path, train: int = 4, val: int = 2, size: tuple[int, int] = SIZE) -> Path:
        """Write the set; see `drawn` for what its labels mean."""
        for split, image_id, image, label in self.drawn(train, val, size):
            self.write(root, split, image_id, image, self.in_file(label))
        self.finish(root)
        return root

    def drawn(self, train: int = 4, val: int = 2, size: tuple[int, int] = SIZE) -> Iterator[tuple]:
        """(split, id, image, label in classes with 255 for void) of each pair."""
        for split, count in (("train", train), ("val", val)):
            for number in range(count):
                rng = np.random.default_rng([number, split == "val"])
                yield split, f"aachen_{split}_{number:06d}", *scene(rng, list(self.numbers), size)

    def in_file(self, label: np.ndarray) -> np.ndarray:
        """A label in the numbers of the set's files."""
        table = np.full(256, 77, np.uint8)
        for index, number in self.numbers.items():
            table[index] = number
        table[255] = self.void
        return table[label]


def scene(rng, classes: list[int], size: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """An image of coloured blocks and its label; a stripe of each label counts nowhere."""
    height, width = size
    order = rng.permutation(len(classes))
    blocks = np.resize(order, (2, 3))
    cell = blocks.repeat(height // 2, 0).repeat(-(-width // 3), 1)[:, :width]
    image = np.array(COLOURS, np.float64)[cell % len(COLOURS)] + rng.normal(0, 25, (height, width, 3))
    label = np.array(classes, np.uint8)[cell]
    label[:, :3] = 255
    return np.clip(image, 0, 255).astype(np.uint8), label


def save(path: Path, array: np.ndarray) -> None:
    """Write an image or a label, and the folders it needs."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(array).save(path)


def append(path: Path, line: str) -> None:
    """Add a line to a list."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "a") as file:
        file.write(f"{line}\n")


def _voc(root, split, image_id, image, label, base="VOCdevkit/VOC2012"):
    save(root / base / "JPEGImages" / f"{image_id}.jpg", image)
    save(root / base / "SegmentationClass" / f"{image_id}.png", label)
    append(root / base / "ImageSets/Segmentation" / f"{split}.txt", image_id)


def _voc_aug(root, split, image_id, image, label):
    base = root / "VOCdevkit/VOC2012"
    (base / "SegmentationClass").mkdir(parents=True, exist_ok=True)
    save(base / "SegmentationClassAug" / f"{image_id}.png", label)
    if split == "val":
        _voc(root, split, image_id, image, label)
    save(base / "JPEGImages" / f"{image_id}.jpg", image)


def _coco_164k(root, split, image_id, image, label):
    save(root / f"images/{split}2017" / f"{image_id}.jpg", image)
    save(root / f"annotations/{split}2017" / f"{image_id}.png", label)


def _coco_10k(root, split, image_id, image, label):
    save(root / "images" / f"{image_id}.jpg", image)
    (root / "annotations").mkdir(exist_ok=True)
    savemat(root / "annotations" / f"{image_id}.mat", {"S": label.astype(np.uint16), "names": ["x"]})
    append(root / "imageLists" / f"{'test' if split == 'val' else split}.txt", image_id)


def _ade20k(root, split, image_id, image, label):
    folder = {"train": "training", "val": "validation"}[split]
    save(root / "ADEChallengeData2016/images" / folder / f"{image_id}.jpg", image)
    save(root / "ADEChallengeData2016/annotations" / folder / f"{image_id}.png", label)


def _cityscapes(root, split, image_id, image, label):
    save(root / f"leftImg8bit/{split}/aachen/{image_id}_leftImg8bit.png", image)
    save(root / f"gtFine/{split}/aachen/{image_id}_gtFine_labelIds.png", label)
    save(root / f"gtFine/{split}/aachen/{image_id}_gtFine_color.png", np.zeros_like(image))


def _segnet(root, split, image_id, image, label):
    save(root / "CamVid" / split / f"{image_id}.png", image)
    save(root / "CamVid" / f"{split}annot" / f"{image_id}.png", label)


def _segnet_test(root):
    for folder in ("test", "testannot"):
        (root / "CamVid" / folder).mkdir()


def _davis(root, split, image_id, image, label):
    sequence, frame = f"{split}-jump", image_id.rsplit("_", 1)[1][1:]
    save(root / "DAVIS/JPEGImages/480p" / sequence / f"{frame}.jpg", image)
    save(root / "DAVIS/Annotations/480p" / sequence / f"{frame}.png", label)
    path = root / "DAVIS/ImageSets/2017" / f"{split}.txt"
    if not path.is_file():
        append(path, sequence)


def _folder(root, split, image_id, image, label):
    save(root / "images" / f"{image_id}.jpg", image)
    save(root / "masks" / f"{image_id}.png", label)
    append(root / f"{split}.txt", image_id)


def _folder_classes(root):
    (root / "classes.txt").write_text("background\nkite\nfish, 10, 20, 30\n")


# Cityscapes: the numbers of its labelIds; 4 is "static". COCO-Stuff: person, stop sign (its id 13 follows the
# gap of 12), toothbrush (90), banner (92), wood (182); the 164k release holds ids - 1. DAVIS: two objects.
LAYOUTS = {
    "voc2012": Layout("voc2012", {0: 0, 8: 8, 12: 12}, 255, _voc),
    "voc2012_aug": Layout("voc2012_aug", {0: 0, 8: 8, 12: 12}, 255, _voc_aug),
    "coco_stuff164k": Layout("coco_stuff164k", {0: 0, 11: 12, 79: 89, 80: 91, 170: 181}, 255, _coco_164k),
    "coco_stuff10k": Layout("coco_stuff10k", {0: 1, 11: 13, 79: 90, 80: 92, 170: 182}, 0, _coco_10k),
    "ade20k": Layout("ade20k", {0: 1, 2: 3, 126: 127, 149: 150}, 0, _ade20k),
    "cityscapes": Layout("cityscapes", {0: 7, 10: 23, 13: 26, 18: 33}, 4, _cityscapes),
    "davis2017": Layout("davis2017", {0: 0, 1: 2}, 255, _davis),
    "davis2016": Layout("davis2017", {0: 0, 1: 255}, 0, _davis),
    "camvid_segnet": Layout("camvid", {0: 0, 3: 3, 8: 8}, 11, _segnet, _segnet_test),
    "camvid": Layout("camvid", {0: 0, 3: 3, 8: 8}, 255, lambda *parts: _voc(*parts, base="CamVid")),
    "folder": Layout("folder", {0: 0, 1: 1, 2: 2}, 255, _folder, _folder_classes),
}
