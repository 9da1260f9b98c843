"""Files that are written whole or not at all."""

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rws.runtime import files
from rws.runtime.files import save_picture, written


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_the_old_file_stands_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    with written(path) as file:
        file.write(b"new" * 10_000)
        assert path.read_bytes() == b"old"
        (other,) = set(names(tmp_path)) - {"a.png"}
        assert other.startswith(".a.png."), "hidden, and of no ending that a picture has"
    assert path.read_bytes() == b"new" * 10_000
    assert names(tmp_path) == ["a.png"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path, error):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")

    def fail() -> None:
        with written(path) as file:
            file.write(b"new")
            raise error

    with pytest.raises(error):
        fail()
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["a.png"]


def test_the_error_of_the_disk_is_told_and_not_what_a_library_makes_of_it(tmp_path, monkeypatch):
    def full(disk, data):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files._Disk, "write", full)
    with pytest.raises(OSError, match=r"No space left on device: '.*a\.png'"):
        save_picture(Image.new("RGB", (400, 300)), tmp_path / "a.png")
    assert names(tmp_path) == []


def test_the_old_file_is_put_aside_where_that_is_asked_for(tmp_path):
    for content in (b"1", b"2", b"3"):
        with written(tmp_path / "a", aside=tmp_path / "before") as file:
            file.write(content)
    assert ((tmp_path / "a").read_bytes(), (tmp_path / "before").read_bytes()) == (b"3", b"2")


def test_rights_are_those_of_any_new_file(tmp_path):
    before = os.umask(0o027)
    try:
        with written(tmp_path / "deep/a") as file:
            file.write(b"1")
    finally:
        os.umask(before)
    assert (tmp_path / "deep/a").stat().st_mode & 0o777 == 0o640


def test_names_may_be_as_long_as_the_disk_takes_them(tmp_path):
    name = "ü" * 120 + ".png"
    save_picture(Image.new("L", (3, 2)), tmp_path / name)
    assert names(tmp_path) == [name]


@pytest.mark.parametrize(("ending", "kind"), [(".png", "PNG"), (".jpg", "JPEG"), (".PNG", "PNG")])
def test_pictures_are_written_in_the_format_of_their_ending(tmp_path, ending, kind):
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 3), np.uint8)
    save_picture(Image.fromarray(pixels), tmp_path / f"a{ending}")
    with Image.open(tmp_path / f"a{ending}") as read:
        assert read.format == kind
        assert kind == "JPEG" or np.array_equal(np.asarray(read), pixels)
