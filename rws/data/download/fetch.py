"""Downloads that go on where they broke off, and are checked.

torchvision.datasets.utils and torch.hub start a broken download anew, hence this.
"""

import errno
import hashlib
import http.client
import json
import os
import re
import shutil
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from rws.errors import UserError
from rws.runtime.bars import say, tracked

TRIES = 5  # in a row that bring nothing new
CHUNK = 1 << 20
TIMEOUT_S = 60
_COUNT = "[0-9]{1,18}"  # of bytes


@dataclass(frozen=True)
class Remote:
    """A file to download.

    checksum: "md5:..." or "sha256:...", of which a beginning suffices; None where none is published.
    checksum_from: who publishes it.
    """

    url: str
    checksum: str | None = None
    checksum_from: str = ""


class _BrokenOffError(Exception):
    """The connection ended before the file did."""


def fetch(remote: Remote, path: Path, tries: int = TRIES) -> Path:
    """Download a file to `path`, going on with <path>.part; one that is there is only checked.

    It gives up after `tries` in a row that bring nothing new.

    Raises: UserError where the server does not give it, the disk is full, or the checksum is another; what
        was received stays, and the same command goes on.
    """
    if path.is_file():
        _verify(path, remote)
        return path
    path.parent.mkdir(parents=True, exist_ok=True)
    part, failures = path.with_name(f"{path.name}.part"), 0
    while True:
        before = _size(part)
        try:
            _receive(remote.url, part)
            break
        except _BrokenOffError as error:
            failures = 0 if _size(part) > before else failures + 1
            if failures == tries:
                raise _given_up(remote.url, part, error) from None
    _verify(part, remote)
    os.replace(part, path)
    _tag(part).unlink(missing_ok=True)
    return path


def _given_up(url: str, part: Path, error: _BrokenOffError) -> UserError:
    if not _size(part):
        return UserError(f"{url}: nothing was received ({error}); the same command tries again")
    return UserError(
        f"{url}: broke off at {_size(part):,} bytes ({error}); these are kept in {part}, and the same "
        "command goes on with them"
    )


def _receive(url: str, part: Path) -> None:
    """Append what is missing to `part`; start anew where the server cannot, or has another file now."""
    have, known = _size(part), _read_tag(part)
    request = urllib.request.Request(url, headers={"User-Agent": "rws"})
    if have:
        request.add_header("Range", f"bytes={have}-")
        if known.get("validator"):
            request.add_header("If-Range", known["validator"])
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
            start, total = _range_of(answer, url, part)
            if start != have or (have and total != known.get("total")):
                if start:
                    _start_anew(part)
                    raise _BrokenOffError("the file on the server has changed")
                have = 0
            validator = answer.headers.get("ETag") or answer.headers.get("Last-Modified")
            _tag(part).write_text(json.dumps({"total": total, "validator": validator}))
            _copy(answer, part, have, total)
    except urllib.error.HTTPError as error:
        _refused(error, url, part)
    except (urllib.error.URLError, http.client.HTTPException, TimeoutError, ConnectionError) as error:
        raise _BrokenOffError(str(getattr(error, "reason", error))) from None


def _range_of(answer: http.client.HTTPResponse, url: str, part: Path) -> tuple[int, int | None]:
    """Where the answer starts in the file, and the file's length, None where the server does not say it.

    Raises: UserError for a length that is no number.
    """
    found = re.fullmatch(rf"bytes ({_COUNT})-{_COUNT}/({_COUNT})", answer.headers.get("Content-Range", ""))
    if answer.status == 206 and found:
        return int(found[1]), int(found[2])
    length = answer.headers.get("Content-Length")
    if length is not None and not re.fullmatch(_COUNT, length):
        raise UserError(
            f"{url}: the server gives {length[:20]!r} as the length of the file; {_by_hand(part)}"
        )
    return 0, None if length is None else int(length)


def _refused(error: urllib.error.HTTPError, url: str, part: Path) -> None:
    """What a refusal means: nothing is missing any more, or there is no such file, or try again."""
    if error.code == 416:
        total = re.fullmatch(rf"bytes \*/({_COUNT})", error.headers.get("Content-Range", ""))
        if total and int(total[1]) == _size(part):
            return
        _start_anew(part)
        raise _BrokenOffError("the file on the server is shorter now")
    if error.code >= 500 or error.code == 429:
        raise _BrokenOffError(f"the server answers {error.code} {error.reason}")
    raise UserError(f"{url}: the server answers {error.code} {error.reason}; {_by_hand(part)}")


def _by_hand(part: Path) -> str:
    return f"get the file by hand and put it at {part.with_suffix('')}, the same command goes on with it"


def _copy(answer: BinaryIO, part: Path, have: int, total: int | None) -> None:
    """Append the answer to the first `have` bytes of `part`."""
    free = shutil.disk_usage(part.parent).free
    if total is not None and total - have > free:
        raise UserError(
            f"{part.parent}: {total - have:,} bytes are still to come and {free:,} are free; make room, or "
            "give another --root"
        )
    name = part.name.removesuffix(".part")
    with (
        open(part, "ab" if have else "wb") as file,
        tracked(desc=name, total=total, initial=have, unit="B", unit_scale=True, unit_divisor=1024) as bar,
    ):
        while chunk := answer.read(CHUNK):
            append(file, chunk)
            bar.update(len(chunk))
    if total is not None and _size(part) < total:
        raise _BrokenOffError(f"{total:,} were announced")


def append(file: BinaryIO, chunk: bytes) -> None:
    """Write a chunk at the end of a file.

    Raises: UserError for a full disk and whatever else hinders writing.
    """
    try:
        file.write(chunk)
        file.flush()
    except OSError as error:
        raise disk_error(error, Path(file.name)) from None


def disk_error(error: OSError, path: Path) -> UserError:
    """What to say of a file that could not be written."""
    reason = "the disk is full" if error.errno == errno.ENOSPC else error.strerror or str(error)
    return UserError(
        f"{path}: cannot be written ({reason}); make room, or give another --root: what is there is kept, "
        "and the same command goes on"
    )


def _verify(path: Path, remote: Remote) -> None:
    """Raises: UserError for another checksum; the file is put aside then."""
    if remote.checksum is None:
        say(f"{path.name}: {path.stat().st_size:,} bytes; no checksum is published, none was checked")
        return
    kind, expected = remote.checksum.split(":")
    found = _digest(path, kind)
    if not found.startswith(expected):
        aside = path.with_name(f"{path.name.removesuffix('.part')}.wrong")
        os.replace(path, aside)
        _tag(path).unlink(missing_ok=True)
        raise UserError(
            f"{aside}: {kind} {found}, expected {expected} ({remote.checksum_from}); the file is damaged or "
            "has changed, and was put aside under this name; run the same command again"
        )
    say(f"{path.name.removesuffix('.part')}: {kind} as published by {remote.checksum_from}")


def _digest(path: Path, kind: str) -> str:
    digest = hashlib.new(kind)
    size, name = path.stat().st_size, f"{kind} of {path.name}"
    with (
        open(path, "rb") as file,
        tracked(desc=name, total=size, unit="B", unit_scale=True, leave=False) as bar,
    ):
        while chunk := file.read(CHUNK):
            digest.update(chunk)
            bar.update(len(chunk))
    return digest.hexdigest()


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _tag(part: Path) -> Path:
    """Beside a part: which file on the server it is a part of."""
    return part.with_name(f"{part.name}.json")


def _read_tag(part: Path) -> dict:
    try:
        tag = json.loads(_tag(part).read_text())
    except (OSError, ValueError, RecursionError):
        return {}
    return tag if isinstance(tag, dict) and isinstance(tag.get("validator"), str | None) else {}


def _start_anew(part: Path) -> None:
    part.unlink(missing_ok=True)
    _tag(part).unlink(missing_ok=True)
