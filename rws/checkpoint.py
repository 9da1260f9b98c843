"""Files of a run: written whole or not at all, holding tensors and plain containers only.

In a run of several processes the first alone writes; all of them read.
"""

import json
import os
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch

from rws.distributed import is_first
from rws.errors import UserError

FORMAT = 1


def _write(path: Path, fill: Callable[[BinaryIO], None], *, every_process: bool = False) -> None:
    """Write through a temporary file beside the target, so that a kill leaves the old file or the new."""
    if not (is_first() or every_process):
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    os.fchmod(descriptor, 0o644)  # mkstemp's own 0600 would hide results from everybody else
    try:
        with os.fdopen(descriptor, "wb") as file:
            fill(file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise


def write_text(path: Path, text: str, *, every_process: bool = False) -> None:
    """Write a text file atomically; `every_process` for a file that belongs to the calling process."""
    _write(Path(path), lambda file: file.write(text.encode()), every_process=every_process)


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict:
    """Read what `write_json` wrote.

    Raises: UserError for a damaged file.
    """
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); start the run anew with --overwrite") from error


def save(path: Path, content: dict) -> None:
    """Write tensors, numbers, strings and plain containers atomically."""
    _write(Path(path), lambda file: torch.save({"format": FORMAT, **content}, file))


def load(path: Path) -> dict:
    """Read what `save` wrote, on the CPU and with `weights_only=True`.

    Raises: UserError for a missing file, one that torch cannot read, or another format.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; train.py writes best.pt and last.pt into runs/<name>/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of odd files before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise UserError(
            f"{path}: not a readable checkpoint ({type(error).__name__}); was it cut off?"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this project (format {FORMAT}); train.py writes them")
    return content
