"""Archives unpacked into a folder and nowhere else, whole or not at all."""

import bz2
import gzip
import lzma
import os
import shutil
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import BinaryIO

from rws.data.download.fetch import CHUNK, append, disk_error
from rws.errors import UserError
from rws.runtime.bars import tracked

# What unpacks to more than so many times its own size is no set of images, but made to fill the disk.
MOST_RATIO = 100
ANY_RATIO_BYTES = 100 << 20  # an archive of text may do that up to here
DISK_BLOCK = 4096
_COMPRESSED = {b"\x1f\x8b": gzip.open, b"BZh": bz2.open, b"\xfd7zXZ": lzma.open}
_NOTHING = "nothing was unpacked"


@dataclass(frozen=True)
class Member:
    """A file or folder in an archive; `item` is the library's own record of it."""

    name: str
    size: int
    kind: str  # file, folder, or what else it is
    item: tarfile.TarInfo | zipfile.ZipInfo


Read = Callable[[Member], BinaryIO]


def unpack(archive: Path, root: Path, take: str = "", only: tuple[str, ...] = ("",)) -> int:
    """Unpack the files under `take`, or of these those that begin with one of `only`; the number of new ones.

    The names in `root` are those in the archive without `take`. A file that is there with its size is left.
    The others are unpacked into a hidden folder within `root`, and take their places when all are whole.

    Raises: UserError for a damaged archive, for one with a member outside the root, a link or an encrypted
        member, for one that the disk has no room for, and where the root cannot be written.
    """
    hidden, was_there = root / f".{archive.name}.unpacking", root.exists()
    shutil.rmtree(hidden, ignore_errors=True)  # of an unpacking that a kill ended
    try:
        with _reading(archive), _opened(archive) as (members, read):
            wanted = [m for m in members if m.name.startswith(take) and m.kind == "file"]
            named = {m.name.removeprefix(take): m for m in wanted}
            new = {n: m for n, m in named.items() if n.startswith(only) and not _is_there(root / n, m.size)}
            _require_room(root, new.values())
            with tracked(desc=f"unpack {archive.name}", total=len(new), unit="file") as bar:
                for name, member in new.items():
                    _write(read(member), member, hidden / name)
                    bar.update()
        _move(new, hidden, root)
    finally:
        shutil.rmtree(hidden, ignore_errors=True)
        if not was_there:
            with suppress(OSError):
                root.rmdir()  # where nothing has come into it
    return len(new)


@contextmanager
def _reading(archive: Path) -> Iterator[None]:
    """Raises: UserError in place of what libraries raise of a damaged archive, which is nearly any type."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        said = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{archive}: cannot be unpacked ({said}); {_NOTHING}: delete it and download it again"
        ) from None


@contextmanager
def _opened(archive: Path) -> Iterator[tuple[list[Member], Read]]:
    """The members of an archive, all of them harmless, and what reads one."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened:
            yield _harmless(archive, map(_of_zip, opened.infolist())), lambda m: opened.open(m.item)
        return
    with _decompressed(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
        members = _harmless(archive, map(_of_tar, opened))
        stream.seek(opened.offset)
        if stream.read(tarfile.BLOCKSIZE) != tarfile.NUL * tarfile.BLOCKSIZE:
            # tarfile takes a damaged header, and an archive that was cut off, for the end.
            raise tarfile.ReadError(f"it ends or is damaged after {len(members)} members")
        yield members, lambda m: opened.extractfile(m.item)


@contextmanager
def _decompressed(archive: Path) -> Iterator[BinaryIO]:
    """The tar archive within, which has been read to its end: its checksums stand there.

    Raises: UserError for one that is far larger than the file.
    """
    with open(archive, "rb") as file:
        start = file.read(8)
    opener = next((each for magic, each in _COMPRESSED.items() if start.startswith(magic)), None)
    if opener is None:
        with open(archive, "rb") as file:
            yield file
        return
    with opener(archive) as stream:
        size = 0
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            _check_ratio(archive, size)
        stream.seek(0)
        yield stream


def _of_zip(item: zipfile.ZipInfo) -> Member:
    mode = stat.S_IFMT(item.external_attr >> 16)
    kind = "folder" if item.is_dir() else "file" if mode in (0, stat.S_IFREG) else "a link or a device"
    if item.flag_bits & 1:
        kind = "encrypted"
    # Of a name with a zero byte `filename` holds the beginning alone.
    return Member(item.orig_filename, item.file_size, kind, item)


def _of_tar(item: tarfile.TarInfo) -> Member:
    kind = "folder" if item.isdir() else "file" if item.isreg() else "a link or a device"
    return Member(item.name, item.size, kind, item)


def _harmless(archive: Path, members: Iterable[Member]) -> list[Member]:
    """The members under their plain names, without // and /./ in them.

    Raises: UserError for one that is no plain file, or whose name leads out of the root, and for a bomb.
    """
    found, size = [], 0
    for member in members:
        if fault := _fault(member):
            raise UserError(f"{archive}: member {member.name!r} {fault}; {_NOTHING}")
        size += member.size
        _check_ratio(archive, size)
        found.append(replace(member, name=str(PurePosixPath(member.name))))
    return found


def _fault(member: Member) -> str | None:
    posix, windows = PurePosixPath(member.name), PureWindowsPath(member.name)
    drives = any(PureWindowsPath(part).drive for part in windows.parts)
    if posix.is_absolute() or windows.anchor or drives or ".." in {*posix.parts, *windows.parts}:
        return "points outside the root"
    if "\0" in member.name:
        return "has a zero byte in its name"
    if member.kind not in ("file", "folder"):
        return f"is {member.kind}"
    return "has no name" if member.kind == "file" and not posix.parts else None


def _check_ratio(archive: Path, size: int) -> None:
    """Raises: UserError for an archive that unpacks to so much that it must be made for it."""
    packed = archive.stat().st_size
    if size > max(ANY_RATIO_BYTES, MOST_RATIO * packed):
        raise UserError(
            f"{archive}: its {packed:,} bytes unpack to {size:,} and more, over {MOST_RATIO} times as many; "
            f"no set of images does that; {_NOTHING}"
        )


def _require_room(root: Path, members: Iterable[Member]) -> None:
    """Raises: UserError where the files are larger than what is free on the disk."""
    needed = sum(member.size // DISK_BLOCK + 1 for member in members) * DISK_BLOCK
    there = next(folder for folder in (root, *root.absolute().parents) if folder.exists())
    free = shutil.disk_usage(there).free
    if needed > free:
        raise UserError(
            f"{root}: unpacking takes {needed:,} bytes and {free:,} are free; {_NOTHING}: make room, or give "
            "another --root"
        )


def _is_there(path: Path, size: int) -> bool:
    return path.is_file() and path.stat().st_size == size


def _write(source: BinaryIO, member: Member, path: Path) -> None:
    """Write a member into a file.

    Raises: UserError where that fails, EOFError where the archive holds another number of bytes than it says.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        file = open(path, "wb")  # noqa: SIM115 (closed below)
    except OSError as error:
        raise disk_error(error, path) from None
    with source, file:
        while chunk := source.read(CHUNK):
            append(file, chunk)
        if file.tell() != member.size:
            raise EOFError(f"{member.name!r} has {file.tell():,} bytes and should have {member.size:,}")


def _move(names: Iterable[str], hidden: Path, root: Path) -> None:
    """Raises: UserError where a file cannot take its place."""
    for name in names:
        try:
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            os.replace(hidden / name, root / name)
        except OSError as error:
            raise disk_error(error, root / name) from None
