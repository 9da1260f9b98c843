"""Files found by name as people write it: endings in capitals, other forms of the same letters, links."""

import os
import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path

from rws.errors import UserError


def key(name: str) -> str:
    """What names have in common that a person takes for one: letter case and Unicode's forms do not count."""
    return unicodedata.normalize("NFC", name).casefold()


def find_file(folder: Path, stem: str, endings: Sequence[str]) -> Path | None:
    """The file of a name without ending, with the first of the endings that is there; None without one.

    The name as it is written comes first, and then one alone that differs in what `key` leaves out.
    """
    for ending in endings:
        if os.path.isfile(name := f"{folder}/{stem}{ending}"):
            return Path(name)
    for path in (folder / f"{stem}{ending}" for ending in endings):
        names = _listed(path.parent).get(key(path.name), [])
        same = [name for name in names if _form(name) == _form(path.name)]
        if len(chosen := same or names) == 1 and (path.parent / chosen[0]).is_file():
            return path.parent / chosen[0]
    return None


def _form(name: str) -> str:
    """A name in one of Unicode's forms, the ending's case aside."""
    path = Path(unicodedata.normalize("NFC", name))
    return path.stem + path.suffix.lower()


def seen_instead(folder: Path, stem: str, endings: Sequence[str]) -> str:
    """What is there in place of a file that is missing, in words; empty where nothing is."""
    for ending in endings:
        path = folder / f"{stem}{ending}"
        if path.is_symlink():
            return f"a link to {os.readlink(path)}, which is not there"
    stem_path = folder / stem
    for names in _listed(stem_path.parent).values():
        for name in names:
            if key(name).startswith(key(stem_path.name) + ".") and "." in name:
                return f"{name} is there"
    return ""


def _listed(folder: Path) -> dict[str, list[str]]:
    """The names in a folder by their `key`."""
    try:
        return _listed_at(folder, folder.stat().st_mtime_ns)
    except OSError:
        return {}


@lru_cache(maxsize=256)
def _listed_at(folder: Path, time_ns: int) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in os.listdir(folder):
        found.setdefault(key(name), []).append(name)
    return found


def joined(names: Iterable[str], others: Iterable[str]) -> set[str]:
    """All names, of two that `key` takes for one that of `names`."""
    names = set(names)
    keys = {key(name) for name in names}
    return names | {other for other in others if key(other) not in keys}


def _refuse(error: OSError) -> None:
    if not isinstance(error, FileNotFoundError):  # a folder that is not there holds nothing
        raise UserError(f"{error.filename}: {error.strerror}; make it readable, or take it out") from None


def files_below(root: Path, endings: tuple[str, ...]) -> Iterator[Path]:
    """The files with one of the endings in a folder and the folders in it, in order; hidden ones left out.

    Folders that are links are entered, each once.

    Raises: UserError for a folder that may not be read.
    """
    seen = set()
    for folder, folders, names in os.walk(root, followlinks=True, onerror=_refuse):
        real = os.path.realpath(folder)
        folders[:] = [] if real in seen else sorted(n for n in folders if n[0] != "." and n != "__MACOSX")
        if real in seen:
            continue
        seen.add(real)
        for name in sorted(names):
            if name[0] != "." and name.lower().endswith(endings):
                yield Path(folder, name)
