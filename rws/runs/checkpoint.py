"""Files of a run: written whole or not at all, holding tensors and plain containers only.

A checkpoint carries the SHA-256 of its values: one that has changed on the disk is told from a sound one.
In a run of several processes the first alone writes; all of them read.
"""

import hashlib
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import BinaryIO

import torch

from rws.errors import DamagedFile, UserError
from rws.runtime.distributed import is_first
from rws.runtime.files import written

FORMAT = 1


def before(path: Path) -> Path:
    """Where the file lies that `save` with `keep` has replaced."""
    return path.with_name(f"{path.stem}.before{path.suffix}")


def _write(
    path: Path, fill: Callable[[BinaryIO], None], *, every_process: bool = False, keep: bool = False
) -> None:
    """Write whole or not at all; `keep` the file that is replaced."""
    if not (is_first() or every_process):
        return
    with written(path, durable=True, aside=before(path) if keep else None) as file:
        fill(file)


def write_text(path: Path, text: str, *, every_process: bool = False) -> None:
    """Write a text file atomically; `every_process` for a file that belongs to the calling process."""
    _write(Path(path), lambda file: file.write(text.encode()), every_process=every_process)


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path) -> dict:
    """Read what `write_json` wrote.

    Raises: DamagedFile.
    """
    try:
        return json.loads(Path(path).read_text())
    except ValueError as error:
        raise DamagedFile(f"{path}: damaged ({error}); start the run anew with --overwrite") from error


def save(path: Path, content: dict, *, keep: bool = False) -> None:
    """Write tensors, numbers, strings and plain containers atomically; `keep` the file that is replaced."""
    content = {"format": FORMAT, **content}
    content["sha256"] = _digest(content)
    _write(Path(path), lambda file: torch.save(content, file), keep=keep)


def load(path: Path) -> dict:
    """Read what `save` wrote, on the CPU and with `weights_only=True`.

    Raises: UserError for a missing file or one that is no checkpoint of ours, DamagedFile for one that torch
        cannot read or that is not as it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: no such checkpoint; train.py writes best.pt and last.pt into runs/<name>/")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of odd files before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:
        raise DamagedFile(
            f"{path}: not a readable checkpoint ({type(error).__name__}); was it cut off?"
        ) from error
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this project (format {FORMAT}); train.py writes them")
    # One from before there was a checksum has none.
    if content.pop("sha256", None) not in (None, _digest(content)):
        raise DamagedFile(f"{path}: its checksum is wrong, it has changed since it was written; take another")
    return content


def _digest(content: object) -> str:
    """SHA-256 of a tree of plain containers, numbers, strings and tensors."""
    digest = hashlib.sha256()
    _feed(digest.update, content)
    return digest.hexdigest()


def _feed(update: Callable, value: object) -> None:
    if isinstance(value, torch.Tensor):
        value = value.detach().cpu().contiguous()
        update(f"{value.dtype}{tuple(value.shape)}".encode())
        update(value.flatten().view(torch.uint8).numpy())
    elif isinstance(value, dict):
        update(b"{")
        for key, each in value.items():
            update(repr(key).encode())
            _feed(update, each)
    elif isinstance(value, list | tuple):
        update(b"[")
        for each in value:
            _feed(update, each)
    else:
        update(repr(value).encode())
