"""Images that are in two lists: the same id, or the same bytes under another name."""

import hashlib
from collections.abc import Hashable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from rws.data.split import Split
from rws.errors import UserError

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
    """Pairs of ids of two splits whose image files hold the same bytes.

    Files are told apart by their sizes; those of one size by their two ends; what is left is read as a whole.
    """
    files = [{i: path for i in split.ids if (path := split.find_image(i))} for split in (one, other)]
    keys: list[dict[str, Hashable]] = [{}, {}]
    with ThreadPoolExecutor() as pool:
        for digest in (_size, _ends, _whole):
            keys = [dict(zip(of, pool.map(digest, of.values()))) for of in files]
            common = set(keys[0].values()) & set(keys[1].values())
            files = [{i: of[i] for i, key in own.items() if key in common} for of, own in zip(files, keys)]
    ids = {keys[0][i]: i for i in reversed(files[0])}
    return [(ids[keys[1][i]], i) for i in files[1]]


def _size(path: Path) -> int:
    return path.stat().st_size


def _ends(path: Path) -> tuple[int, bytes]:
    """The size, since files differ in it that have the same ends, and both ends."""
    size = _size(path)
    with open(path, "rb") as file:
        start = file.read(_END)
        file.seek(max(0, size - _END))
        return size, start + file.read(_END)


def _whole(path: Path) -> bytes:
    digest = hashlib.sha256()
    with open(path, "rb") as file:
        while part := file.read(1 << 20):
            digest.update(part)
    return digest.digest()
