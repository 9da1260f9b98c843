"""Archives that lie: each is one line, and nothing of it is unpacked."""

import bz2
import gzip
import io
import lzma
import random
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rws.data.download import __main__ as download
from rws.data.download import unpack as module
from rws.data.download.__main__ import SOURCES, Item, Source
from rws.data.download.fetch import Remote
from rws.data.download.unpack import unpack
from rws.errors import UserError

NOISE = np.random.default_rng(0).bytes(3000)
GOOD = {"set/a.bin": NOISE, "set/deep/b.txt": b"b" * 4000, "other/c.txt": b"c"}
DEFLATE = zipfile.ZIP_DEFLATED


def zipped(names: dict[str, bytes] = GOOD, method: int = DEFLATE) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        for name, content in names.items():
            archive.writestr(zipfile.ZipInfo(name), content, method)
    return file.getvalue()


def tarred(names: dict[str, bytes] = GOOD, mode: str = "w", form: int = tarfile.PAX_FORMAT) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode=mode, format=form) as archive:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file.getvalue()


def with_bit(content: bytes, place: int, bit: int = 0) -> bytes:
    changed = bytearray(content)
    changed[place] ^= 1 << bit
    return bytes(changed)


def patched(content: bytes, offset_local: int, offset_central: int, value: int) -> bytes:
    """A zip with a number of two bytes changed in every header."""
    changed = bytearray(content)
    for magic, offset in ((b"PK\3\4", offset_local), (b"PK\1\2", offset_central)):
        at = changed.find(magic)
        while at >= 0:
            changed[at + offset : at + offset + 2] = value.to_bytes(2, "little")
            at = changed.find(magic, at + 4)
    return bytes(changed)


def encrypted() -> bytes:
    return patched(zipped(), 6, 8, 1)


def of_unknown_method() -> bytes:
    return patched(zipped(), 8, 10, 99)


def header_damaged() -> bytes:
    """The second header, after which tarfile takes the archive for ended."""
    return with_bit(tarred(), 512 + 3072 + 20)


def zero_byte_in_tar() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
        info = tarfile.TarInfo("x")
        info.pax_headers = {"path": "a\0b"}
        archive.addfile(info)
    return file.getvalue()


def zero_byte_in_zip() -> bytes:
    return zipped({"axb.txt": b"1"}).replace(b"axb.txt", b"a\0b.txt")


def too_short_inside() -> bytes:
    """The size that the headers give is larger than what is there; the checksum is that of what is there."""
    content = bytearray(zipped({"a": b"1234"}, zipfile.ZIP_DEFLATED))
    for magic, offset in ((b"PK\3\4", 22), (b"PK\1\2", 24)):
        at = content.find(magic)
        content[at + offset : at + offset + 4] = (9).to_bytes(4, "little")
    return bytes(content)


TGZ, TXZ, TBZ, TAR = tarred(mode="w:gz"), tarred(mode="w:xz"), tarred(mode="w:bz2"), tarred()
DAMAGED = {
    "encrypted": (encrypted(), "is encrypted"),
    "an unknown method": (of_unknown_method(), "compression method is not supported"),
    "deflate": (with_bit(zipped(), 50, 7), "cannot be unpacked"),
    "bzip2": (with_bit(zipped(method=zipfile.ZIP_BZIP2), 60), "cannot be unpacked"),
    "lzma": (with_bit(zipped(method=zipfile.ZIP_LZMA), 60), "cannot be unpacked"),
    "a bit of a stored file": (with_bit(zipped(method=zipfile.ZIP_STORED), 500), "Bad CRC-32"),
    "a zero byte in a zip": (zero_byte_in_zip(), "zero byte in its name"),
    "a zero byte in a tar": (zero_byte_in_tar(), "zero byte in its name"),
    "shorter inside than it says": (too_short_inside(), "cannot be unpacked"),
    "a zip cut off": (zipped()[:-30], "cannot be unpacked"),
    "the last CRC of a tar.gz": (with_bit(TGZ, -6), "CRC check failed"),
    "the length at the end of a tar.gz": (with_bit(TGZ, -2), "Incorrect length"),
    "a tar.gz without its end": (TGZ[:-8], "end-of-stream"),
    "half a tar.gz": (TGZ[: len(TGZ) // 2], "cannot be unpacked"),
    "text after a tar.gz": (TGZ + b"text", "cannot be unpacked"),
    "the check of a tar.xz": (with_bit(TXZ, -40), "cannot be unpacked"),
    "half a tar.xz": (TXZ[: len(TXZ) // 2], "cannot be unpacked"),
    "the check of a tar.bz2": (with_bit(TBZ, -6), "cannot be unpacked"),
    "half a tar.bz2": (TBZ[: len(TBZ) // 2], "cannot be unpacked"),
    "a tar cut at a member": (TAR[: 512 + 3072], "ends or is damaged after 1 members"),
    "a tar cut within a member": (TAR[:2000], "cannot be unpacked"),
    "a damaged header": (header_damaged(), "ends or is damaged after 1 members"),
    "a gzip of no tar": (gzip.compress(b"text"), "cannot be unpacked"),
    "an lzma of nothing": (lzma.compress(b""), "cannot be unpacked"),
    "no name": (zipped({".": b"1"}), "has no name"),
    "a name that is too long": (tarred({"x" * 300: b"1"}), "File name too long"),
    "a file that is a folder, too": (tarred({"a": b"1", "a/b": b"2"}), "cannot be written"),
    "nothing": (b"", "cannot be unpacked"),
}


def refusal(archive: Path, root: Path) -> str:
    before = sorted(path for path in root.parent.rglob("*"))
    with pytest.raises(UserError) as caught:
        unpack(archive, root)
    assert sorted(path for path in root.parent.rglob("*")) == before, "nothing is half unpacked"
    assert "\n" not in str(caught.value)
    return str(caught.value)


def contents(root: Path) -> dict[str, bytes]:
    files = [path for path in root.rglob("*") if path.is_file()]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in files}


@pytest.mark.parametrize("name", DAMAGED)
def test_a_damaged_archive_is_one_line_and_nothing_is_unpacked(tmp_path, name):
    content, expected = DAMAGED[name]
    (tmp_path / "x").write_bytes(content)
    assert expected in refusal(tmp_path / "x", tmp_path / "root")


@pytest.mark.parametrize("content", [zipped(), TAR, TGZ, TXZ, TBZ], ids=["zip", "tar", "gz", "xz", "bz2"])
def test_a_sound_archive_is_unpacked_beside_what_is_there(tmp_path, content):
    (tmp_path / "x").write_bytes(content)
    root = tmp_path / "root"
    (root / ".x.unpacking/set").mkdir(parents=True)
    (root / ".x.unpacking/set/half").write_text("of an unpacking that was killed")
    (root / "mine").write_text("mine")
    assert unpack(tmp_path / "x", root) == 3
    assert contents(root) == {**GOOD, "mine": b"mine"}


def test_what_is_there_stays_where_the_archive_is_damaged(tmp_path):
    root = tmp_path / "root"
    (root / "set").mkdir(parents=True)
    (root / "set/a.bin").write_bytes(b"mine")
    (tmp_path / "x").write_bytes(with_bit(TGZ, -6))
    refusal(tmp_path / "x", root)
    assert (root / "set/a.bin").read_bytes() == b"mine"


def test_an_interruption_leaves_nothing(tmp_path, monkeypatch):
    def interrupted(file, chunk):
        raise KeyboardInterrupt

    monkeypatch.setattr(module, "append", interrupted)
    (tmp_path / "x").write_bytes(zipped())
    with pytest.raises(KeyboardInterrupt):
        unpack(tmp_path / "x", tmp_path / "root")
    assert [path.name for path in tmp_path.iterdir()] == ["x"]


@pytest.mark.parametrize("pack", [zipped, tarred])
def test_a_name_that_is_absolute_behind_what_is_taken_stays_inside(tmp_path, pack):
    outside = tmp_path / "outside"
    (tmp_path / "x").write_bytes(pack({f"set/{outside}": b"1", "set/.//a": b"2"}))
    assert unpack(tmp_path / "x", tmp_path / "root", "set/") == 2
    assert not outside.exists()
    assert contents(tmp_path / "root") == {str(outside).strip("/"): b"1", "a": b"2"}


# Bombs.


@pytest.mark.parametrize("pack", [zipped, tarred, lambda names: tarred(names, "w:gz")])
def test_what_is_larger_than_the_free_space_is_told_before(tmp_path, monkeypatch, pack):
    (tmp_path / "x").write_bytes(pack(GOOD))
    usage = type("Usage", (), {"free": 3 * 4096 - 1})
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: usage)
    assert "root: unpacking takes 12,288 bytes and 12,287 are free" in refusal(
        tmp_path / "x", tmp_path / "root"
    )
    usage.free += 1
    assert unpack(tmp_path / "x", tmp_path / "root") == 3


BOMBS = {
    "zip": lambda names: zipped(names, DEFLATE),
    "gz": lambda names: tarred(names, "w:gz"),
    "xz": lambda names: tarred(names, "w:xz"),
    "bz2": lambda names: tarred(names, "w:bz2"),
}


@pytest.mark.parametrize("pack", BOMBS)
def test_a_bomb_is_refused_by_its_ratio(tmp_path, monkeypatch, pack):
    monkeypatch.setattr(module, "ANY_RATIO_BYTES", 1 << 20)
    (tmp_path / "x").write_bytes(BOMBS[pack]({"a": bytes(1 << 20), "b": bytes(1 << 20)}))
    assert "over 100 times as many" in refusal(tmp_path / "x", tmp_path / "root")
    (tmp_path / "y").write_bytes(BOMBS[pack]({"a": bytes(1 << 18)}))
    assert unpack(tmp_path / "y", tmp_path / "root") == 1, "so small that it does no harm"


def test_a_sparse_bomb_is_refused(tmp_path):
    """A tar of 10 kB whose one member is 8 GB of holes."""
    info = tarfile.TarInfo("a")
    info.type, info.size = tarfile.GNUTYPE_SPARSE, 0
    block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
    block[483:495] = b"100000000000"  # real size, octal
    block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:512]))
    (tmp_path / "x").write_bytes(bytes(block) + bytes(9728))
    assert "its 10,240 bytes unpack to 8,589,934,592 and more" in refusal(tmp_path / "x", tmp_path / "root")


# At random.


def mutated(content: bytes, rng: random.Random) -> bytes:
    kind = rng.randrange(4)
    if kind == 0:
        return content[: rng.randrange(len(content))]
    changed = bytearray(content)
    for _ in range(rng.choice((1, 1, 4, 40))):
        place = rng.randrange(len(changed))
        changed[place] = rng.randrange(256) if kind == 1 else changed[place] ^ 1 << rng.randrange(8)
    if kind == 3:
        at, length = rng.randrange(len(changed)), rng.randrange(1, 600)
        del changed[at : at + length]
    return bytes(changed)


SOUND = {
    "zip": zipped(),
    "lzma": zipped(method=zipfile.ZIP_LZMA),
    "tar": TAR,
    "gz": TGZ,
    "xz": TXZ,
    "bz2": bz2.compress(TAR),
}


@pytest.mark.parametrize("kind", SOUND)
def test_a_hundred_damages_are_told_or_do_no_harm(tmp_path, kind):
    rng, refused = random.Random(7), 0
    for number in range(100):
        archive, root = tmp_path / "x", tmp_path / str(number)
        archive.write_bytes(mutated(SOUND[kind], rng))
        said = None
        try:
            unpack(archive, root)
        except UserError as error:
            said = str(error)
        if said is not None:
            refused += 1
            assert "\n" not in said
            assert not root.exists()
        elif kind in ("gz", "xz", "bz2"):  # whose checksum covers all
            assert contents(root) == GOOD
    assert refused >= 50
    assert {path.name for path in tmp_path.iterdir()} <= {"x", *map(str, range(100))}


# The command.


@pytest.mark.parametrize("name", ["encrypted", "the last CRC of a tar.gz", "a zero byte in a tar"])
def test_the_command_says_one_line_and_ends_with_2(tmp_path, monkeypatch, capsys, name):
    item = Item(Remote("http://nowhere.invalid/x"), "x", into="set")
    monkeypatch.setitem(SOURCES, "camvid", Source((item,)))
    (tmp_path / "data/downloads").mkdir(parents=True)
    (tmp_path / "data/downloads/x").write_bytes(DAMAGED[name][0])
    assert download.main(["camvid", "--root", str(tmp_path / "data")]) == 2
    said = capsys.readouterr().err
    assert "Traceback" not in said
    (line,) = [line for line in said.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    assert DAMAGED[name][1] in line
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["downloads"]
