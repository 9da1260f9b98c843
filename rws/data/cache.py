"""Decoded images and labels on disk, for sets whose decoding holds a training up."""

import hashlib
import io
import zlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

import numpy as np

from rws.errors import UserError
from rws.runtime.bars import say
from rws.runtime.files import written

_CHECKSUM_BYTES = 4


class Cache:
    """A folder of decoded files, one array each, shared by all processes and by runs.

    An entry belongs to a file's path, size and time of change, so that a changed file is decoded anew. It
    ends with its CRC-32: a damaged one is made again, with a warning. The operating system keeps in memory
    what fits; nothing of it is kept here.

    Raises: UserError for a folder inside the data root, into which nothing is ever written.
    """

    def __init__(self, folder: str | Path, outside: Path) -> None:
        self.folder = Path(folder).expanduser().resolve()
        if self.folder.is_relative_to(outside.resolve()):
            raise UserError(
                f"data.cache {folder}: lies inside the data root {outside}, into which nothing is written; "
                "give another folder"
            )

    def get(self, path: Path, kind: str, decode: Callable[[], np.ndarray]) -> np.ndarray:
        """What was kept of a file; `decode` gives it where there is nothing yet.

        Raises: UserError where the cache cannot be written, and whatever `decode` raises.
        """
        entry = self._entry(path, kind)
        try:
            content = entry.read_bytes()
        except OSError:  # not there yet, above all
            content = None
        array = None if content is None else _unpacked(content)
        if array is not None:
            return array
        if content is not None:
            say(f"warning: {entry}: damaged; {path} is decoded again, and the entry replaced")
        array = decode()
        try:
            with written(entry) as file:
                file.write(_packed(array))
        except OSError as error:
            raise UserError(
                f"{self.folder}: the cache cannot be written ({error.strerror or error}); free some room, "
                "give another --data.cache, or drop it"
            ) from None
        return array

    def _entry(self, path: Path, kind: str) -> Path:
        state = path.stat()
        key = f"{kind}|{_real(path.parent) / path.name}|{state.st_size}|{state.st_mtime_ns}"
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name}.array"


@lru_cache(maxsize=1024)
def _real(folder: Path) -> Path:
    """A folder without links, found once: a set has few, and each of its files is read in every epoch."""
    return folder.resolve()


def _packed(array: np.ndarray) -> bytes:
    """An array as NumPy's file, and the CRC-32 of that."""
    content = io.BytesIO()
    np.save(content, array, allow_pickle=False)
    return content.getvalue() + zlib.crc32(content.getbuffer()).to_bytes(_CHECKSUM_BYTES)


def _unpacked(content: bytes) -> np.ndarray | None:
    """The array that `_packed` made into bytes; None where they have changed."""
    body = memoryview(content)[:-_CHECKSUM_BYTES]
    if zlib.crc32(body).to_bytes(_CHECKSUM_BYTES) != content[-_CHECKSUM_BYTES:]:
        return None
    try:
        return np.load(io.BytesIO(body), allow_pickle=False)
    except (ValueError, EOFError):  # whole, and not written by us
        return None
