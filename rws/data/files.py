"""Image files: opened and read as a viewer shows them, the same in training and prediction."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from PIL import Image

from rws.data.levels import Levels, LevelsError, to_8_bits
from rws.errors import UserError, said
from rws.runtime.memory import memory_bytes

SUFFIXES = (".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff")
# What Pillow raises on damaged files; SyntaxError is its word for a broken PNG chunk.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, Image.DecompressionBombError)
# Endings and first bytes of what is an image and is not read.
UNREAD = (".heic", ".heif", ".avif", ".jxl", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".psd", ".svg", ".pdf")
UNREAD += (".dcm", ".nii", ".npy", ".exr", ".hdr", ".gif", ".jp2")
CONVERT = "convert it to PNG or JPEG (`magick mogrify -format png FILE`)"
_REPLACE = "replace the file"
# Place and first bytes of what is no image that is read, what it is, and the way out.
_SIGNS = (
    (4, (b"ftypheic", b"ftypheix", b"ftyphevc", b"ftypmif1", b"ftypmsf1"), "it is HEIC", CONVERT),
    (128, (b"DICM",), "it is DICOM", CONVERT),
    (0, (b"%PDF",), "it is a PDF", CONVERT),
    (0, (b"version https://git-lfs",), "it is a pointer of Git LFS", "run `git lfs pull`"),
    (0, (b"<!DOCTYPE", b"<!doctype", b"<html", b"<?xml"), "it is a page of HTML or XML", _REPLACE),
)
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
# Memory for a pixel: an image whose windows alone are seen, and one that goes through a network as a whole.
WINDOWED, WHOLE = 12, 32
MOST = 178_956_970  # pixels that are seen as a whole: where Pillow speaks of an attack
_opening = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=lambda: globals().update(_opening=threading.Lock()))


class FileError(UserError):
    """A file that cannot be used: what it is, a detail, and the way out, so that a line tells of many."""

    what = detail = way_out = ""

    @classmethod
    def of(
        cls, path: str | Path, what: str, detail: str, way_out: str, message: str | None = None
    ) -> "FileError":
        """`message` is of this file alone, where it is not made of the parts."""
        error = cls(message or f"{path}: {what} ({detail}); {way_out}")
        error.what, error.detail, error.way_out = what, detail, way_out
        return error

    @property
    def in_brackets(self) -> str:
        return f" ({self.detail})" if self.detail else ""


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


@contextmanager
def opened(path: str | Path, need: int = WHOLE, what: str = "") -> Iterator[Image.Image]:
    """An image file as Pillow opens it, not yet decoded; in the block nothing but Pillow is to be called.

    Raises: FileError, also for what Pillow raises in the block: a file that is missing or damaged, of several
    pages, or too large for the memory at `need` bytes a pixel. `what` it is, for the message.
    """
    try:
        with _open(path) as image:
            _refuse_too_large(image.size, path, need)
            _refuse_pages(image, path)
            yield image
    except UserError:
        raise
    except Exception as error:  # on damaged files nearly any type
        raise _damaged(path, what, error) from None


def _open(path: str | Path) -> Image.Image:
    """Open without Pillow's limit of pixels, for which there is one by memory here."""
    with _opening:
        before, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            return Image.open(path)
        finally:
            Image.MAX_IMAGE_PIXELS = before


def _refuse_too_large(size: tuple[int, int], path: str | Path, need: int) -> None:
    """Raises: FileError for an image of more than MOST pixels that a network is to see as a whole, and for
    one that would take more than half of the memory."""
    pixels, memory = size[0] * size[1], memory_bytes()
    if pixels * need > memory // 2 or (pixels > MOST and need == WHOLE):
        takes = f"{pixels * need / 1e9:.1f} of {memory / 1e9:.1f} GB of memory"
        detail = f"{size[0]:,} x {size[1]:,} pixels, which take {takes}"
        windows = "" if need == WINDOWED else ", or have predict look at windows of it (--slide 513)"
        raise FileError.of(
            path, "an image too large to be read whole", detail, f"cut it into pieces{windows}"
        )


def _refuse_pages(image: Image.Image, path: str | Path) -> None:
    """Raises: FileError for a file of several pages or frames; those of a pyramid are smaller copies."""
    if image.format == "MPO" or not getattr(image, "is_animated", False):
        return
    pages, size = image.n_frames, image.size
    if image.format == "TIFF":
        sizes = [image.seek(page) or image.size for page in range(pages)]
        pages = sizes.count(size)
        image.seek(0)
    if pages > 1:
        way_out = "which one is meant is not known: save each as a file of its own"
        raise FileError.of(path, "a file of several pages or frames", f"{pages} of them", way_out)


def _damaged(path: str | Path, what: str, error: Exception) -> FileError:
    """What is to be told of a file that Pillow cannot decode."""
    kind = "a label that cannot be decoded" if what == "label " else "an image that cannot be decoded"
    sign = _sign(path)
    if sign is None:
        message = f"{path}: {what}cannot be decoded ({said(error)}); {_REPLACE}"
        return FileError.of(path, kind, "", "replace these files", message)
    reason, way_out = sign
    message = f"{path}: {what}cannot be decoded ({reason}); {way_out}"
    return FileError.of(path, kind, reason, way_out, message)


def _sign(path: str | Path) -> tuple[str, str] | None:
    """What a file is instead of an image, and the way out, by its first bytes."""
    try:
        with open(path, "rb") as file:
            start = file.read(200)
    except OSError:
        return None
    if not start:
        return "it is empty", _REPLACE
    return next((tuple(known) for at, signs, *known in _SIGNS if start[at:].startswith(signs)), None)
