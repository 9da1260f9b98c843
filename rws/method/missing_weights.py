"""Where attention is missing: the missing weights of every stage by class and by size of the object."""

from collections.abc import Iterable, Sequence

import numpy as np

from rws.data.classes import ClassSet
from rws.data.object_sizes import SIZES, object_area, size_of

# Of one image, by class and place in SIZES: foreground pixels, and the sum of each stage's missing weights.
Sums = dict[tuple[int, int], tuple[int, list[float]]]


def group_sums(missing: np.ndarray, label: np.ndarray, classes: ClassSet) -> Sums:
    """The missing weights of one image, summed over the foreground pixels of each class and size.

    Shape: missing (L, H, W); label (H, W) integer.
    """
    label = label.astype(np.uint8)
    left_out = [classes.ignore_index, *([] if classes.background is None else [classes.background])]
    area = object_area(label, *left_out)
    foreground = area > 0
    keys = label[foreground].astype(np.int64) * len(SIZES) + size_of(area[foreground])
    pixels = np.bincount(keys)
    sums = [np.bincount(keys, weights=plane[foreground]) for plane in missing]
    groups = np.flatnonzero(pixels).tolist()
    return {divmod(k, len(SIZES)): (int(pixels[k]), [float(s[k]) for s in sums]) for k in groups}


def tabulate(images: Iterable[Sums], stage_names: Sequence[str], classes: ClassSet) -> dict:
    """The table of a set of images in plain numbers.

    {"images": number, "groups": [{"class", "size", "pixels", "images", "missing": {stage: mean}}]}, groups in
    the order of classes and sizes; those without a pixel are left out.
    """
    images = list(images)
    groups = []
    for key in sorted({key for image in images for key in image}):
        # Image by image in the order of the list: the same bits however many processes there are.
        held = [image[key] for image in images if key in image]
        pixels = sum(count for count, _ in held)
        means = [sum(stage) / pixels for stage in zip(*(sums for _, sums in held))]
        group = {"class": classes.names[key[0]], "size": SIZES[key[1]], "pixels": pixels, "images": len(held)}
        groups.append(group | {"missing": dict(zip(stage_names, means))})
    return {"images": len(images), "groups": groups}


def mean_missing(groups: Sequence[dict], stage: str) -> float:
    """The mean missing weight of a stage over the pixels of some groups of a table; 0 without a pixel."""
    pixels = sum(group["pixels"] for group in groups)
    return sum(group["pixels"] * group["missing"][stage] for group in groups) / max(pixels, 1)
