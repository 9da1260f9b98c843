"""A folder of one's own to spoil: eight images of a bright box on grey, with their labels."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

H, W = 24, 32
IDS = tuple(f"p{k}" for k in range(8))
CLASSES = "background\nbox\ndisc\n"


def label_of(k: int, size: tuple[int, int] = (H, W)) -> np.ndarray:
    """0, a box of 1 in the upper left and one of 2 at the right; shape: `size`, uint8."""
    label = np.zeros(size, np.uint8)
    label[2 : 8 + k, 3:9] = 1
    label[5:20, -6:] = 2
    return label


def image_of(label: np.ndarray, k: int = 0) -> np.ndarray:
    """Each class of a label in a colour of its own; shape: (H, W) -> (H, W, 3)."""
    colours = np.array([(90 + k, 90, 90), (250, 20, 30), (20, 30, 250)], np.uint8)
    return colours[label]


def own_set(root: Path, classes: str = CLASSES, lists: bool = True) -> Path:
    """Write the set, the images as PNG so that their pixels are known."""
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    (root / "classes.txt").write_text(classes)
    for k, image_id in enumerate(IDS):
        Image.fromarray(image_of(label_of(k), k)).save(root / "images" / f"{image_id}.png")
        Image.fromarray(label_of(k)).save(root / "masks" / f"{image_id}.png")
    if lists:
        (root / "train.txt").write_text("".join(f"{image_id}\n" for image_id in IDS[:6]))
        (root / "val.txt").write_text("".join(f"{image_id}\n" for image_id in IDS[6:]))
    return root


def rewrite(root: Path, write: Callable[[int, Path], None], part: str = "masks") -> Path:
    """Have `write` write each file of a part again, given its number and its path without ending."""
    for k, image_id in enumerate(IDS):
        (root / part / f"{image_id}.png").unlink()
        write(k, root / part / image_id)
    return root


def save_with_orientation(path: Path, shown: np.ndarray, orientation: int) -> None:
    """Write an image as a camera does that was turned: stored so that its EXIF orientation shows `shown`."""
    stored = {
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.swapaxes(0, 1),
        6: lambda a: np.rot90(a),
        7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
        8: lambda a: np.rot90(a, -1),
    }[orientation](shown)
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)
