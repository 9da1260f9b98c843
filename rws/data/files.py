"""Image and label files: headers, and labels as the numbers that the file holds."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from PIL import Image

from rws.data.classes import Colour
from rws.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png")
LABEL_MODES = ("P", "L", "1")
COLOUR_MODES = ("RGB", "RGBA")
# What Pillow raises on damaged files; SyntaxError is its word for a broken PNG chunk.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
_GREY_SCALE = {
    "L;2": 85,
    "L;4": 17,
}  # Pillow spreads 2- and 4-bit grey values over 0..255; indices want them back


class LabelModeError(UserError):
    """A label that does not hold class numbers but colours, or more than 8 bits."""


class ColourError(UserError):
    """A colour of a label that is no class's."""


def read_header(path: str | Path) -> tuple[tuple[int, int], str]:
    """The (height, width) in pixels and Pillow's mode of an image file, without decoding it.

    Raises: UserError for a file that is no image.
    """
    try:
        with Image.open(path) as image:
            return (image.height, image.width), image.mode
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: cannot be decoded ({error}); replace the file") from None


def read_image(path: str | Path) -> Image.Image:
    """An image in RGB, as stored: an EXIF orientation is not applied, since labels know nothing of it.

    Raises: UserError for a damaged file.
    """
    try:
        with Image.open(path) as image:
            return image.convert("RGB")
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: image cannot be decoded ({error}); replace the file") from None


def read_label(path: str | Path, by_colour: Mapping[Colour, int] | None = None) -> np.ndarray:
    """A label's numbers as the file holds them: palette indices or grey values, never colours.

    With `by_colour`, the number of each colour, a label in RGB is converted; others are read as always.

    Shape: (H, W) uint8.

    Raises: UserError for a missing or damaged file and for one that does not hold class indices.
    """
    try:
        with Image.open(path) as label:
            if by_colour is not None and label.mode in COLOUR_MODES:
                return _from_colours(np.array(label)[..., :3], by_colour, path)
            if label.mode not in LABEL_MODES:
                raise LabelModeError(
                    f"{path}: label in mode {label.mode}; labels must hold class indices, mode P or L "
                    "(8 bits): map its colours to indices first (--data.convert-rgb-labels does)"
                )
            raw_mode = label.tile[0][3] if label.tile else None
            spread = _GREY_SCALE.get(raw_mode, 1) if isinstance(raw_mode, str) else 1
            return np.array(label, dtype=np.uint8) // np.uint8(spread)
    except FileNotFoundError:
        raise UserError(f"{path}: no such label; add it or take its id from the list") from None
    except DECODE_ERRORS as error:
        raise UserError(f"{path}: label cannot be decoded ({error}); replace the file") from None


def _from_colours(pixels: np.ndarray, by_colour: Mapping[Colour, int], path: str | Path) -> np.ndarray:
    """The numbers of the colours of a label.

    Shape: (H, W, 3) uint8 -> (H, W) uint8.
    Raises: ColourError for a colour of no class, with the first place where it is.
    """
    codes = pixels.astype(np.int32) @ np.array([1 << 16, 1 << 8, 1], np.int32)
    present, first, inverse = np.unique(codes, return_index=True, return_inverse=True)
    colours = [(int(c) >> 16, int(c) >> 8 & 255, int(c) & 255) for c in present]
    for colour, place in zip(colours, first.tolist()):
        if colour not in by_colour:
            row, column = divmod(place, codes.shape[1])
            raise ColourError(
                f"{path}: colour {colour} at row {row}, column {column} is no class's; correct the label, or "
                "the colours of the set's classes"
            )
    numbers = np.array([by_colour[colour] for colour in colours], np.uint8)
    return numbers[inverse].reshape(codes.shape)


def read_mat(path: str | Path, key: str, field: str | None = None) -> np.ndarray:
    """A matrix of class numbers in a MATLAB file: the variable `key`, or a field of that structure.

    Shape: (H, W) uint8.
    Raises: UserError for a missing or damaged file, one without it, and one with other numbers than 0..255.
    """
    from scipy.io import loadmat  # here: most sets have none

    try:
        found = loadmat(path, squeeze_me=True, struct_as_record=False)[key]
        found = np.asarray(getattr(found, field) if field else found)
    except FileNotFoundError:
        raise UserError(f"{path}: no such label; add it or take its id from the list") from None
    except Exception as error:  # on damaged files nearly any type
        raise UserError(f"{path}: label cannot be decoded ({error}); replace the file") from None
    if found.ndim != 2 or not np.issubdtype(found.dtype, np.integer) or found.min() < 0 or found.max() > 255:
        raise UserError(f"{path}: {key} is no matrix of class numbers in 0..255; replace the file")
    return found.astype(np.uint8)
