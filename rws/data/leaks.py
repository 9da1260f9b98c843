"""Images that are in two lists: the same id, or the same bytes under another name."""

import hashlib
from collections import defaultdict
from collections.abc import Hashable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from rws.data.split import Split
from rws.errors import UserError

Key = TypeVar("Key", bound=Hashable)
_END = 4096
_NAMED = 5  # pairs that are named before they are only counted


def refuse_leaks(train: Split, val: Split) -> None:
    """Raises: UserError for images of `val` that are in `train` too."""
    if pairs := find_leaks(train, val):
        named = ", ".join(one if one == other else f"{one} = {other}" for one, other in pairs[:_NAMED])
        more = ", ..." if len(pairs) > _NAMED else ""
        raise UserError(
            f"{train.root}: {len(pairs)} images of {val.split} are in {train.split} too, byte for byte: "
            f"{named}{more}; take them out of one of the lists, or allow it with --data.allow_leak"
        )


def find_leaks(one: Split, other: Split) -> list[tuple[str, str]]:
    """Pairs of ids of two splits whose image files hold the same bytes."""
    both = [{i: path for i in split.ids if (path := split.find_image(i))} for split in (one, other)]
    sizes = [{i: _size(path) for i, path in files.items()} for files in both]
    common = set(sizes[0].values()) & set(sizes[1].values())
    files = {(of, i): both[of][i] for of in (0, 1) for i, size in sizes[of].items() if size in common}
    groups = same_files(files)
    first = {key: next((i for of, i in group if of == 0), None) for group in groups for key in group}
    return [(first[1, i], i) for i in other.ids if first.get((1, i)) is not None]


def same_files(files: Mapping[Key, Path]) -> list[list[Key]]:
    """Groups of files that hold the same bytes.

    Files are told apart by their sizes; those of one size by their two ends; what is left is read as a whole.
    """
    groups = [list(files)]
    with ThreadPoolExecutor() as pool:
        for digest in (_size, _ends, _whole):
            parts: dict[tuple[int, Hashable], list[Key]] = defaultdict(list)
            for number, group in enumerate(groups):
                for key, found in zip(group, pool.map(digest, (files[key] for key in group))):
                    parts[number, found].append(key)
            groups = [part for part in parts.values() if len(part) > 1]
    return groups


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> bytes:
    with open(path, "rb") as file:
        start = file.read(_END)
        file.seek(max(0, _size(path) - _END))
        return start + file.read(_END)


def _whole(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.digest()
