"""Files written whole or not at all."""

import io
import os
import re
import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO, NoReturn

from PIL import Image

JPEG_QUALITY = 92
_NAME_KEPT = 40  # characters of the name with which the hidden one begins
_HIDDEN = re.compile(r"\..+\.[0-9a-f]{8}\.unfinished")


class _Disk(io.FileIO):
    """A file that keeps the error of a write, in whose place libraries report others of their own."""

    error: OSError | None = None

    def write(self, data: bytes) -> int:
        try:
            return super().write(data)
        except OSError as error:
            self.error = error
            raise

    def fileno(self) -> NoReturn:
        """Raises: io.UnsupportedOperation, so that nobody writes past `write`, as Pillow would."""
        raise io.UnsupportedOperation("fileno")

    def sync(self) -> None:
        """Wait until all has reached the disk."""
        os.fsync(super().fileno())


@contextmanager
def written(path: Path, *, durable: bool = False, aside: Path | None = None) -> Iterator[BinaryIO]:
    """A file to write into; it takes the place of `path` at the end, and leaves nothing after an error.

    Until then it lies beside `path` under a hidden name, so that a kill leaves the old file or the new one.
    With `durable` it is on the disk before it takes its place. The old file moves `aside`, where that is
    given. A missing folder is made.

    Raises: OSError that names `path`, for a full disk and whatever else hinders writing.
    """
    path, disk = Path(path), None
    temporary = path.with_name(f".{path.name[:_NAME_KEPT]}.{secrets.token_hex(4)}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        disk = _Disk(temporary, "x")
        with io.BufferedWriter(disk) as file:
            yield file
            file.flush()
            if durable:
                disk.sync()
        if aside is not None and path.exists():
            os.replace(path, aside)
        os.replace(temporary, path)
    except BaseException as error:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)
        cause = disk.error if disk is not None and disk.error else error
        if not isinstance(cause, OSError):
            raise
        raise OSError(cause.errno, cause.strerror or str(cause), str(path)) from error


def is_leftover(path: Path) -> bool:
    """Whether a file is one that `written` has left when it was killed."""
    return bool(_HIDDEN.fullmatch(path.name)) and path.is_file()


def save_picture(picture: Image.Image, path: Path) -> None:
    """Write a picture in the format of its ending, whole or not at all.

    Raises: OSError that names the file.
    """
    kind = Image.registered_extensions()[Path(path).suffix.lower()]
    with written(path) as file:
        picture.save(file, kind, **({"quality": JPEG_QUALITY} if kind == "JPEG" else {}))


def cut_off(log: Path) -> None:
    """Remove the part of a line at the end of a file that a kill has left."""
    if log.is_file() and not (content := log.read_bytes()).endswith(b"\n"):
        os.truncate(log, content.rfind(b"\n") + 1)
