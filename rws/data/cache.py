"""Decoded images and labels on disk, for sets whose decoding holds a training up."""

import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np

from rws.errors import UserError


class Cache:
    """A folder of decoded files, one array each, shared by all processes and by runs.

    An entry belongs to a file's path, size and time of change, so that a changed file is decoded anew. The
    operating system keeps in memory what fits; nothing of it is kept here.

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
            return np.load(entry, allow_pickle=False)
        except (OSError, ValueError, EOFError):
            pass  # not there yet, or cut off
        array = decode()
        try:
            self._store(entry, array)
        except OSError as error:
            raise UserError(
                f"{self.folder}: the cache cannot be written ({error.strerror or error}); free some room, "
                "give another --data.cache, or drop it"
            ) from None
        return array

    def _entry(self, path: Path, kind: str) -> Path:
        state = path.stat()
        key = f"{kind}|{path.resolve()}|{state.st_size}|{state.st_mtime_ns}"
        name = hashlib.blake2b(key.encode(), digest_size=16).hexdigest()
        return self.folder / name[:2] / f"{name}.npy"

    def _store(self, entry: Path, array: np.ndarray) -> None:
        entry.parent.mkdir(parents=True, exist_ok=True)
        handle, unfinished = tempfile.mkstemp(prefix=".", dir=entry.parent)
        try:
            with os.fdopen(handle, "wb") as file:
                np.save(file, array, allow_pickle=False)
            os.replace(unfinished, entry)  # whole or not at all, also where two processes write it
        except BaseException:
            Path(unfinished).unlink(missing_ok=True)
            raise
