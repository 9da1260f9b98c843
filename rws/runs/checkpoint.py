"""Files of a run: written whole or not at all, holding tensors and plain containers only.

Each carries the SHA-256 of what it holds: one that has changed on the disk is told from a sound one.
In a run of several processes the first alone writes; all of them read.
"""

import hashlib
import json
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

import torch

from rws.errors import DamagedFile, UserError
from rws.runs.seals import KEY, is_seal, opened, opened_text, sealed, sealed_text
from rws.runs.shape import misfit
from rws.runtime.distributed import is_first
from rws.runtime.files import written

FORMAT = 1
MOST_SHARED = 16  # times that a file may hold each of its numbers, as networks with shared weights do


def remove(path: Path) -> None:
    """Remove a file, and that which it has replaced."""
    for each in (path, before(path)):
        each.unlink(missing_ok=True)


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


def write_json(path: Path, content: dict, *, indent: int | None = 1, every_process: bool = False) -> None:
    """Write JSON atomically, with the checksum of what it holds."""
    text = json.dumps(sealed(content), indent=indent) + "\n"
    write_text(path, text, every_process=every_process)


def write_result(path: Path, content: object) -> None:
    """Write JSON atomically, for people and other programs: what no run reads back has no checksum."""
    write_text(path, json.dumps(content, indent=1) + "\n")


def read_json(path: Path, kind: Any = dict) -> Any:
    """Read what `write_json` wrote, and hold it against the type `kind`, a dataclass or a TypedDict say.

    One from before JSON had checksums has none.

    Raises: DamagedFile.
    """
    try:
        content = _parsed(Path(path).read_text(encoding="utf-8"))
        if wrong := misfit(content, kind):
            raise ValueError(wrong)
    except (ValueError, RecursionError) as error:
        raise damaged(path, error) from error
    return content


def _parsed(text: str) -> object:
    content = json.loads(text)
    return opened(content) if isinstance(content, dict) else content


def damaged(path: Path, reason: object) -> DamagedFile:
    """The error of a file of a run that is not as it was written."""
    said = " ".join(str(reason).split())
    return DamagedFile(f"{path}: damaged ({said}); --resume goes back to before it was made")


def has_checksum(path: Path) -> bool:
    """Whether a JSON file is from after there were checksums.

    Raises: DamagedFile.
    """
    read_json(path)
    return f'"{KEY}"' in Path(path).read_text(encoding="utf-8")


def write_sealed(path: Path, text: str) -> None:
    """Write a text in which # begins a comment, with its checksum."""
    write_text(path, sealed_text(text))


def read_sealed(path: Path) -> str:
    """Read what `write_sealed` wrote; a text from before there were checksums has none.

    Raises: DamagedFile.
    """
    try:
        return opened_text(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise damaged(path, error) from error


def save(path: Path, content: dict, *, keep: bool = False) -> None:
    """Write tensors, numbers, strings and plain containers atomically; `keep` the file that is replaced."""
    content = {"format": FORMAT, **content}
    content["sha256"] = digest_of(content)
    _write(Path(path), lambda file: torch.save(content, file), keep=keep)


def load(path: Path) -> dict:
    """Read what `save` wrote, on the CPU and with `weights_only=True`.

    Raises: UserError for a missing file or one that is no checkpoint of ours, DamagedFile for one that torch
        cannot read or that is not as it was written.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(f"{path}: {no_checkpoint(path)}")
    try:
        content = _read(path)
    except Exception as error:
        raise DamagedFile(
            f"{path}: not a readable checkpoint ({type(error).__name__}); was it cut off?"
        ) from error
    version = content.get("format") if isinstance(content, dict) else None
    if type(version) is not int or version != FORMAT:
        raise UserError(f"{path}: not a checkpoint of this project (format {FORMAT}); training writes them")
    if not _is_as_written(content):
        raise DamagedFile(f"{path}: its checksum is wrong, it has changed since it was written; take another")
    return content


def no_checkpoint(path: Path) -> str:
    """Why there is no checkpoint at a path where no file is, and which to give."""
    if not path.is_dir():
        return "no such checkpoint; training writes best.pt and last.pt into runs/<name>/"
    there = [str(path / name) for name in ("best.pt", "last.pt") if (path / name).is_file()]
    return f"a folder, no checkpoint; give {' or '.join(there) or 'a file'}"


def _read(path: Path) -> object:
    """What torch reads, where it takes no more memory than the file.

    Raises: whatever torch and zipfile raise of what is no checkpoint, ValueError for what swells up.
    """
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        if any(item.compress_type != zipfile.ZIP_STORED for item in archive.infolist()):
            raise ValueError("compressed, as torch writes nothing")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of odd files before it refuses them
        content = torch.load(path, map_location="cpu", weights_only=True)
    _check_size(content, size)
    return content


def _check_size(content: object, size: int) -> None:
    """Raises: ValueError for views and containers by which a file of `size` bytes holds far more."""
    waiting, values, numbers = [content], 0, 0
    while waiting:
        value, values = waiting.pop(), values + 1
        if isinstance(value, dict):
            waiting += value.values()
        elif isinstance(value, list | tuple):
            waiting += value
        elif isinstance(value, torch.Tensor):
            numbers += value.numel() * value.element_size()
        elif isinstance(value, str | bytes | bytearray):
            numbers += len(value)
        if values > size or numbers > MOST_SHARED * size:
            raise ValueError("far larger than its file")


def network_in(path: Path) -> dict[str, torch.Tensor]:
    """The weights that a checkpoint holds.

    Raises: as `load`; DamagedFile for one without weights.
    """
    content = load(path)
    if not isinstance(content.get("model"), dict):
        raise damaged(path, "it holds no network")
    return content["model"]


def copy(source: Path, target: Path) -> None:
    """Write a file anew from another, atomically."""
    with open(source, "rb") as content:
        _write(Path(target), lambda file: shutil.copyfileobj(content, file))


def _is_as_written(content: dict) -> bool:
    """Whether the checksum of a checkpoint is right; it is taken out. Old checkpoints have none."""
    if "sha256" not in content:
        return not is_seal(list(content.values())[-1])  # a wrong bit in the name of the checksum
    try:
        return content.pop("sha256") == digest_of(content)
    except Exception:  # a bit may have made anything of a value
        return False


def digest_of(content: object) -> str:
    """The SHA-256 of a tree of plain containers, numbers, strings and tensors."""
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
            if not isinstance(key, str | int):
                raise TypeError(f"a key of type {type(key).__name__}")
            update(repr(key).encode())
            _feed(update, each)
    elif isinstance(value, list | tuple):
        update(b"[")
        for each in value:
            _feed(update, each)
    else:
        update(repr(value).encode())
