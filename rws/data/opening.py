"""Files opened as images: what cannot be used is told with its way out; a limit of pixels by memory."""

import os
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image

from rws.errors import UserError, said
from rws.runtime.memory import memory_bytes

# What Pillow raises on damaged files; SyntaxError is its word for a broken PNG chunk, IndexError for a GIF.
DECODE_ERRORS = (OSError, SyntaxError, ValueError, LookupError, struct.error, Image.DecompressionBombError)
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
    sign = _no_file(Path(path)) or _sign(path)
    if sign is None:
        message = f"{path}: {what}cannot be decoded ({said(error)}); {_REPLACE}"
        return FileError.of(path, kind, "", "replace these files", message)
    reason, way_out = sign
    message = f"{path}: {what}cannot be decoded ({reason}); {way_out}"
    return FileError.of(path, kind, reason, way_out, message)


def _no_file(path: Path) -> tuple[str, str] | None:
    """Why there is no file to decode at a path, and the way out; None where there is one."""
    if path.is_dir():
        return "it is a folder", "give the files in it"
    return None if os.path.lexists(path) else ("there is no such file", "check the path")


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
