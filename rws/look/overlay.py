"""The overlay of an image, its regions tinted and outlined; without matplotlib, so it is there at once."""

import numpy as np
from PIL import Image

from rws.data.classes import ClassSet
from rws.data.label_images import colour_label


def is_foreground(label: np.ndarray, classes: ClassSet) -> np.ndarray:
    """Pixels of a class that is neither background nor ignored.

    Shape: (H, W) integers in 0..255 -> (H, W) bool.
    """
    known = np.zeros(256, bool)
    known[list(classes.foreground)] = True
    return known[label]


def contours(label: np.ndarray, width: int) -> np.ndarray:
    """Pixels within `width` pixels, along a row or a column, of one with another value.

    Shape: (H, W) -> (H, W) bool.
    """
    edge = np.zeros(label.shape, bool)
    for axis in (0, 1):
        values, edges = np.moveaxis(label, axis, 0), np.moveaxis(edge, axis, 0)
        for step in range(1, width + 1):
            differs = values[step:] != values[:-step]
            edges[step:] |= differs
            edges[:-step] |= differs
    return edge


def overlay(image: Image.Image, label: np.ndarray, classes: ClassSet, alpha: float = 0.5) -> Image.Image:
    """The image in RGB with each region tinted in its class's colour and outlined in full colour.

    Background and ignored pixels stay as they are. `alpha` is the colour's share inside a region.

    Shape: label (H, W) at the image's size.
    """
    image = image.convert("RGB")
    tinted = is_foreground(label, classes)
    lines = contours(label, max(1, round(min(label.shape) / 250))) & tinted
    colours = colour_label(label, classes).convert("RGB")
    # Pillow mixes whole images six times as fast as numpy the pixels inside.
    mixed = Image.composite(Image.blend(image, colours, alpha), image, Image.fromarray(tinted))
    mixed.paste(colours, mask=Image.fromarray(lines))
    return mixed
