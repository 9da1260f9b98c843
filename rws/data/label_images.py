"""Labels as pictures: in the palette of their classes, and as the numbers of a set's own files."""

import numpy as np
from PIL import Image

from rws.data.classes import ClassSet


def colour_label(label: np.ndarray, classes: ClassSet) -> Image.Image:
    """A label as an indexed image (mode P): its values are the classes, its palette their colours.

    Shape: (H, W) integers in 0..255.
    """
    picture = Image.fromarray(np.asarray(label).astype(np.uint8))
    picture.putpalette(classes.flat_palette())
    return picture


def file_label(label: np.ndarray, classes: ClassSet) -> Image.Image:
    """A label as the data set's own files hold it: its numbers, in its colours (mode P).

    Shape: (H, W) uint8.
    """
    picture = Image.fromarray(classes.to_file(label))
    picture.putpalette(classes.flat_palette(files=True))
    return picture
