"""Archives unpacked into a folder and nowhere else."""

import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from rws.data.download.fetch import disk_error
from rws.errors import UserError
from rws.runtime.bars import tracked


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive; `item` is the library's own record of it."""

    name: str
    size: int
    kind: str  # file, folder or other
    item: tarfile.TarInfo | zipfile.ZipInfo


def unpack(archive: Path, root: Path, take: str = "", only: tuple[str, ...] = ("",)) -> int:
    """Unpack the files under `take`, or of these those that begin with one of `only`; the number of new ones.

    The names in `root` are those in the archive without `take`. A file that is there with its size is left,
    so that a broken unpacking goes on.

    Raises: UserError for a damaged archive; for one with a member outside the root, or a link, of which
        nothing is unpacked; and where the root cannot be written.
    """
    try:
        with _opened(archive) as (members, read):
            wanted = [m for m in members if m.name.startswith(take)]
            wanted = [m for m in wanted if m.name.removeprefix(take).startswith(only) and m.kind == "file"]
            new = [m for m in wanted if not _is_there(root / m.name.removeprefix(take), m.size)]
            total = sum(m.size for m in new)
            with tracked(desc=f"unpack {archive.name}", total=total, unit="B", unit_scale=True) as bar:
                for member in new:
                    _write(read(member), root / member.name.removeprefix(take))
                    bar.update(member.size)
    except (tarfile.TarError, zipfile.BadZipFile, EOFError) as error:
        raise UserError(f"{archive}: cannot be unpacked ({error}); delete it and download it again") from None
    return len(new)


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[Member], object]]:
    """The members of an archive, all of them harmless, and what reads one."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _harmless(archive, map(_of_zip, opened.infolist())), lambda m: opened.open(m.item)
    else:
        with tarfile.open(archive) as opened:
            yield _harmless(archive, map(_of_tar, opened)), lambda m: opened.extractfile(m.item)


def _of_zip(item: zipfile.ZipInfo) -> Member:
    mode = stat.S_IFMT(item.external_attr >> 16)
    kind = "folder" if item.is_dir() else "file" if mode in (0, stat.S_IFREG) else "other"
    return Member(item.filename, item.file_size, kind, item)


def _of_tar(item: tarfile.TarInfo) -> Member:
    return Member(
        item.name, item.size, "folder" if item.isdir() else "file" if item.isreg() else "other", item
    )


def _harmless(archive: Path, members: Iterator[Member]) -> list[Member]:
    """Raises: UserError for a member that is a link or a device, or whose name leads out of the root."""
    found = []
    for member in members:
        posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
        if posix.is_absolute() or windows.anchor or ".." in {*posix.parts, *windows.parts}:
            raise UserError(
                f"{archive}: member {member.name!r} points outside the root; nothing was unpacked"
            )
        if member.kind == "other":
            raise UserError(f"{archive}: member {member.name!r} is a link or a device; nothing was unpacked")
        found.append(member)
    return found


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write(source: BinaryIO, path: Path) -> None:
    """Write a file whole or not at all."""
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with source, open(unfinished, "wb") as file:
            shutil.copyfileobj(source, file)
        os.replace(unfinished, path)
    except OSError as error:
        unfinished.unlink(missing_ok=True)
        raise disk_error(error, path) from None
