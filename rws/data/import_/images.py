"""The images of an export, found by the names that its annotations give them, and never outside of it."""

import os
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
        folders: set[tuple[str, ...]] = set()
        for path in files_below(root, (*SUFFIXES, *UNREAD)):
            below = PurePosixPath(path.relative_to(root).as_posix())
            if not set(below.parts[:-1]) & set(without):
                folders.add(below.parts[:-1])
                self._by_name.setdefault(key(below.name), []).append(below)
                self._by_stem.setdefault(key(below.stem), []).append(below)
        self._folders = set().union(*map(_runs_of, folders))
        self._splits = {split_named(*names) for names in folders}

    def find(self, reference: object, near: Path | None = None, split: str | None = None) -> Path:
        """The image that an annotation in the folder `near` calls `reference`.

        Of several files of a name the one counts whose folders are those of the reference; then the one in
        `near`, then the one in a folder of the split. A file in another folder than the one that the
        reference names, where there is such a folder, is another image; so is one in a folder of another
        split than the annotation's, where the reference names no folder.

        Raises: Unread where there is none, or more than one.
        """
        parts = _parts(reference)
        return self._best({p: p.parts for p in self._by_name.get(key(parts[-1]), [])}, reference, near, split)

    def find_stem(self, reference: str, near: Path | None = None, split: str | None = None) -> Path:
        """As `find`, for a name without its ending."""
        same = self._by_stem.get(key(_parts(reference)[-1]), [])
        return self._best({p: p.with_suffix("").parts for p in same}, reference, near, split)

    def has_folder(self, *names: str) -> bool:
        """Whether a folder with images, or one that such folders are in, has these names at its end."""
        return tuple(map(key, names)) in self._folders or os.path.isdir(os.path.join(self.root, *names))

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
        upwards = ".." in reference.split("/")
        far = upwards or reference.startswith("/") or any(sign in reference for sign in ("\\", ":", "?d="))
        said = (parts[start:-1] for start in range(len(parts) - 1))
        folder = next((names for names in said if self.has_folder(*names)), [])
        ranks = {}
        for path, names in named.items():
            within = not folder or tuple(map(key, folder)) in _runs_of(path.parts[:-1])
            fits = far or _common(names, parts) == min(len(names), len(parts))
            if fits and within and (folder or not self._of_another(split, path)):
                exact = sum(a == b for a, b in zip(reversed(names), reversed(parts)))
                in_split = split is not None and split_named(*path.parts[:-1]) == split
                ranks[path] = (_common(names, parts), exact, self.root / path.parent == near, in_split)
        if not ranks:
            seen = f", and {next(iter(named))} is another" if named else ""
            raise Unread(f"no image {reference} in {self.root}{seen} (--images says where they are)")
        best = [path for path, rank in ranks.items() if rank == max(ranks.values())]
        if len(best) > 1:
            raise Unread(f"{reference} may be {best[0]} or {best[1]}")
        self.used.add(self.root / best[0])
        return self.root / best[0]

    def _of_another(self, split: str | None, path: PurePosixPath) -> bool:
        """Whether an image lies in a folder of another split, where there is a folder of this one."""
        other = split_named(*path.parts[:-1])
        return None not in (split, other) and other != split and split in self._splits


def parts_of(path: str) -> list[str]:
    """The names in a path of any system, without what leads upwards; of Label Studio's the part after ?d=."""
    path = path.rpartition("?d=")[2]
    return [name for name in path.replace("\\", "/").split("/") if name not in ("", ".", "..")]


def _parts(reference: object) -> list[str]:
    """Raises: Unread for what is no path."""
    if not isinstance(reference, str) or not (parts := parts_of(reference)):
        raise Unread("the name of its image is missing")
    return parts


def _runs_of(folders: Sequence[str]) -> set[tuple[str, ...]]:
    """The names of folders that follow each other in a path, as keys."""
    keys = tuple(map(key, folders))
    return {keys[i:j] for j in range(1, len(keys) + 1) for i in range(j)}


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
    refuse_archive(source)
    if not source.is_dir():
        raise UserError(f"{source}: {'is a file' if source.exists() else 'no such folder'}; give {what}")
    return source


def refuse_archive(source: Path) -> None:
    """Raises: UserError for a file that an export is packed in."""
    if source.suffix.lower() in (".zip", ".tar", ".gz", ".tgz", ".7z", ".rar") and source.is_file():
        raise UserError(f"{source}: is an archive; unpack it, and give the folder")
