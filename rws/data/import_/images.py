"""The images of an export, found by the names that its annotations give them, and never outside of it."""

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from rws.data.files import SUFFIXES
from rws.data.import_.found import split_named
from rws.data.import_.shapes import Unread
from rws.data.lookup import files_below, key
from rws.data.opening import UNREAD
from rws.errors import UserError


class Images:
    """All images in a folder and in the folders in it, by name.

    without: folders, by name, that hold no photographs.
    """

    def __init__(self, root: Path, without: tuple[str, ...] = ()) -> None:
        self.root, self.used = root, set[Path]()
        self._by_name: dict[str, list[PurePosixPath]] = {}
        self._by_stem: dict[str, list[PurePosixPath]] = {}
        for path in files_below(root, (*SUFFIXES, *UNREAD)):
            below = PurePosixPath(path.relative_to(root).as_posix())
            if not set(below.parts[:-1]) & set(without):
                self._by_name.setdefault(key(below.name), []).append(below)
                self._by_stem.setdefault(key(below.stem), []).append(below)

    def find(self, reference: object, near: Path | None = None, split: str | None = None) -> Path:
        """The image that an annotation in the folder `near` calls `reference`.

        Of several files of a name the one counts whose folders are those of the reference; then the one in
        `near`, then the one in a folder of the split.

        Raises: Unread where there is none, or more than one.
        """
        parts = _parts(reference)
        return self._best({p: p.parts for p in self._by_name.get(key(parts[-1]), [])}, reference, near, split)

    def find_stem(self, reference: str, near: Path | None = None) -> Path:
        """As `find`, for a name without its ending."""
        same = self._by_stem.get(key(_parts(reference)[-1]), [])
        return self._best({p: p.with_suffix("").parts for p in same}, reference, near, None)

    def unused(self) -> int:
        """How many of the images no annotation has named."""
        return sum(map(len, self._by_name.values())) - len(self.used)

    def _best(
        self,
        named: dict[PurePosixPath, tuple[str, ...]],
        reference: str,
        near: Path | None,
        split: str | None,
    ) -> Path:
        """The one of the images, given with their names as a reference may have them."""
        parts = _parts(reference)
        # From a path of another machine, or one that leads upwards, the last name alone is taken.
        far = reference.startswith("/") or any(sign in reference for sign in ("\\", "..", ":", "?d="))
        ranks = {}
        for path, names in named.items():
            if far or _common(names, parts) == min(len(names), len(parts)):
                exact = sum(a == b for a, b in zip(reversed(names), reversed(parts)))
                in_split = split is not None and split_named(*path.parts[:-1]) == split
                ranks[path] = (_common(names, parts), exact, self.root / path.parent == near, in_split)
        if not ranks:
            raise Unread(f"no image {reference} in {self.root} (--images says where they are)")
        best = [path for path, rank in ranks.items() if rank == max(ranks.values())]
        if len(best) > 1:
            raise Unread(f"{reference} may be {best[0]} or {best[1]}")
        self.used.add(self.root / best[0])
        return self.root / best[0]


def parts_of(path: str) -> list[str]:
    """The names in a path of any system, without what leads upwards; of Label Studio's the part after ?d=."""
    path = path.rpartition("?d=")[2]
    return [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "..")]


def _parts(reference: object) -> list[str]:
    """Raises: Unread for what is no path."""
    if not isinstance(reference, str) or not (parts := parts_of(reference)):
        raise Unread("the name of its image is missing")
    return parts


def _common(path: Sequence[str], parts: Sequence[str]) -> int:
    """How many names at the end of two paths are the same."""
    count = 0
    for one, other in zip(reversed(path), reversed(parts)):
        if key(one) != key(other):
            break
        count += 1
    return count


def source_folder(source: Path, what: str) -> Path:
    """Raises: UserError for a source that is no folder."""
    if source.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar") and source.is_file():
        raise UserError(f"{source}: is an archive; unpack it, and give the folder")
    if not source.is_dir():
        raise UserError(f"{source}: no such folder; give {what}")
    return source
