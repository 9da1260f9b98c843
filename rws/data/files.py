"""Images as a viewer shows them, the same in training and prediction."""

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rws.data.levels import Levels, LevelsError, to_8_bits
from rws.data.opening import WHOLE, FileError, opened
from rws.errors import UserError

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_EXIF_ORIENTATION = 0x0112
_PNG_EXIF = {"exif", "xmp", "Raw profile type exif", "XML:com.adobe.xmp"}
# A network gets the short side at one size: a strip of 10 x 4000 pixels would fill the memory.
MAX_ASPECT = 16


@dataclass(frozen=True)
class Header:
    """What a file says of its image before it is decoded.

    size: (height, width) in pixels as shown. orientation: EXIF's, 1 where the image is stored upright.
    deep: more than 8 bits a channel. palette: of mode P, (n, 3) uint8.
    """

    size: tuple[int, int]
    mode: str
    orientation: int = 1
    deep: bool = False
    palette: np.ndarray | None = None


def read_header(path: str | Path, need: int = WHOLE, what: str = "") -> Header:
    """The header of an image file; need: bytes of memory for a pixel. `what` it is, for the message.

    Raises: FileError for a file that is no image, and one too large to be read.
    """
    with opened(path, need, what) as image:
        orientation = orientation_of(image)
        size = (image.height, image.width)
        # Pillow gives TIFF's size as shown, and turns it when it is decoded.
        stored = orientation >= 5 and image.format != "TIFF"
        palette = image.getpalette("RGB") if image.mode == "P" else None
        palette = None if palette is None else np.array(palette, np.uint8).reshape(-1, 3)
        return Header(size[::-1] if stored else size, image.mode, orientation, is_deep(image), palette)


def read_image(path: str | Path, levels: Levels | None = None, need: int = WHOLE) -> Image.Image:
    """An image in RGB of 8 bits as a viewer shows it: see `displayed`.

    need: bytes of memory for a pixel.

    Raises: FileError for a file that is missing or damaged, of several pages, or too large, and for values
    whose range is not known.
    """
    try:
        with opened(path, need, "image ") as image:
            if is_deep(image) and not _holds_numbers(image):
                colours = Image.fromarray(to_8_bits(_deep_colours(path), levels))
                return _turned(colours, 1 if image.format == "TIFF" else orientation_of(image))
            return displayed(image, levels)
    except LevelsError as error:
        detail, way_out = str(error).split("; ")
        raise FileError.of(path, "an image of more than 8 bits", detail, way_out) from None


def refuse_strip(width: int, height: int) -> None:
    """Raises: UserError for an image more than MAX_ASPECT times as long as wide."""
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise UserError(
            f"{width} x {height} pixels: longer than {MAX_ASPECT} times its width; cut it into pieces"
        )


def displayed(image: Image.Image, levels: Levels | None = None) -> Image.Image:
    """The image in RGB of 8 bits as a viewer shows it: turned by its EXIF orientation, `levels` to black and
    white where it has more than 8 bits a pixel; without them their range is found in this image alone.

    Raises: LevelsError for a range that cannot be found, or that does not hold the values.
    """
    if image.format == "TIFF":
        image.load()  # which turns it
    orientation = orientation_of(image)
    eight = Image.fromarray(to_8_bits(np.asarray(image), levels)) if _holds_numbers(image) else image
    shown = _turned(eight, orientation).convert("RGB")
    shown.info = {}  # so that nobody turns it again
    return shown


def deep_pixels(path: str | Path) -> np.ndarray:
    """The values of an image of more than 8 bits a channel.

    Shape: (H, W) or (H, W, 3).
    Raises: UserError as `read_image`.
    """
    with opened(path) as image:
        return np.asarray(image) if _holds_numbers(image) else _deep_colours(path)


def _holds_numbers(image: Image.Image) -> bool:
    """Whether Pillow decodes an image to its own values of more than 8 bits."""
    return image.mode in ("I", "F") or image.mode.startswith("I;16")


def raw_mode(image: Image.Image) -> str:
    """How the pixels lie in an opened file that is not decoded yet, as Pillow calls it; empty if unknown."""
    found = image.tile[0][3] if getattr(image, "tile", None) else ""
    found = found[0] if isinstance(found, tuple) and found else found
    return found if isinstance(found, str) else ""


def is_deep(image: Image.Image) -> bool:
    """Whether an image has more than 8 bits a channel; that of colours is known before decoding alone."""
    colours = image.mode in ("RGB", "RGBA", "RGBX", "LA") and ";16" in raw_mode(image)
    return colours or _holds_numbers(image)


def _deep_colours(path: str | Path) -> np.ndarray:
    """The values of an image in colours of 16 bits, which Pillow cuts to 8; OpenCV turns TIFF.

    Shape: (H, W, 3).
    """
    flags = cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH | cv2.IMREAD_IGNORE_ORIENTATION
    pixels = cv2.imdecode(np.fromfile(path, np.uint8), flags)
    if pixels is None:
        raise ValueError("its pixels cannot be decoded")
    return pixels[..., ::-1]


def orientation_of(image: Image.Image) -> int:
    """EXIF's orientation of an opened image; 1, upright, where it has none or a broken one.

    It is not looked for behind the pixels of a PNG, since Pillow would decode them first.
    """
    if image.format == "PNG" and not image.info.keys() & _PNG_EXIF:
        return 1
    try:
        found = image.getexif().get(_EXIF_ORIENTATION, 1)
    except Exception:  # on broken EXIF nearly any type
        return 1
    return found if found in _TURNS else 1


def turn(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Stored pixels as an EXIF orientation shows them.

    Shape: (H, W) -> (H, W) or (W, H).
    """
    return np.array(_turned(Image.fromarray(pixels), orientation)) if orientation > 1 else pixels


def _turned(image: Image.Image, orientation: int) -> Image.Image:
    return image.transpose(_TURNS[orientation]) if orientation > 1 else image
