"""Images in two lists, and images too large: what the check refuses training refuses too."""

import shutil

import numpy as np
import pytest
from own_set import IDS, image_of, label_of, own_set
from PIL import Image
from tiny import TINY, load_script

from rws.data import open_split
from rws.data.files import read_header, read_image
from rws.data.leaks import find_leaks, same_files
from rws.data.opening import MOST
from rws.errors import UserError
from rws.models import FAMILIES
from rws.predict.images import open_image

train = load_script("train")


@pytest.fixture
def both(tmp_path, monkeypatch, capsys):
    """Runs the check and the training on a set; the exit code and the line, the same of both."""
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    config = tmp_path / "c.yaml"
    config.write_text(
        f"runs: {tmp_path / 'runs'}\ndevice: cpu\nmodel: {{name: tiny, weights: none}}\n"
        f"data: {{name: folder, root: {tmp_path / 'set'}, base_size: 12, crop_size: [12, 16], workers: 0}}\n"
        "train: {batch_size: 2}\ncycles: {limit: 0, plain: false}\n"
    )

    def run(*flags):
        answers = []
        for more in (["--check-data"], []):
            code = train.main(["--config", str(config), *more, *flags])
            lines = [line.rsplit("\r", 1)[-1] for line in capsys.readouterr().err.split("\n")]
            answers.append((code, next((line for line in lines if line.startswith("error: ")), "")))
        assert answers[0] == answers[1], "the check and the training"
        return answers[0]

    return run


def test_an_id_in_both_lists(both, tmp_path):
    own_set(tmp_path / "set")
    (tmp_path / "set/val.txt").write_text("p5\np6\np7\n")
    code, said = both()
    assert code == 2
    assert "1 images of val are in train too, byte for byte: p5; take them out" in said
    assert both("--data.allow_leak=true", "--name", "allowed")[0] == 0


def test_the_same_bytes_under_another_name(both, tmp_path):
    root = own_set(tmp_path / "set")
    shutil.copy(root / "images/p0.png", root / "images/p6.png")
    code, said = both()
    assert code == 2
    assert "1 images of val are in train too, byte for byte: p0 = p6; " in said


@pytest.mark.parametrize("ids", [IDS[:6], IDS[6:]])
def test_labels_that_are_ignored_everywhere(both, tmp_path, ids):
    root = own_set(tmp_path / "set")
    for image_id in ids:
        Image.fromarray(np.full((24, 32), 255, np.uint8)).save(root / f"masks/{image_id}.png")
    code, said = both()
    assert code == 2
    assert "hold ignored pixels only; label them" in said


def test_turned_and_deep_images_are_refused_by_both_alike(both, tmp_path):
    root = own_set(tmp_path / "set")
    Image.fromarray(np.full((24, 32), -1, np.int32)).save(root / "images/p1.tif")
    (root / "images/p1.png").unlink()
    code, said = both()
    assert code == 2
    assert "--data.range" in said
    assert both("--data.range=[-1,1]", "--name", "given")[0] == 0


def test_files_of_one_size_are_read_as_far_as_they_agree(tmp_path):
    rng = np.random.default_rng(0)
    same, middle, end = (bytearray(rng.bytes(20_000)) for _ in range(3))
    middle[:], end[:] = same, same
    middle[10_000] ^= 1
    end[-1] ^= 1
    contents = {"a": same, "b": same, "c": middle, "d": end, "e": same[:-1], "f": end}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    assert same_files({name: tmp_path / name for name in contents}) == [["a", "b"], ["d", "f"]]


def test_only_files_of_a_size_that_both_splits_have_are_opened(tmp_path, monkeypatch):
    root = own_set(tmp_path / "set")
    for k, image_id in enumerate(IDS):
        Image.fromarray(image_of(label_of(k), k)).resize((32 + k, 24)).save(root / f"images/{image_id}.bmp")
        (root / f"images/{image_id}.png").unlink()
    shutil.copy(root / "images/p2.bmp", root / "images/p7.bmp")
    opened = []
    monkeypatch.setattr("rws.data.leaks._ends", lambda path: opened.append(path.name) or b"")
    splits = [open_split("folder", root, name) for name in ("train", "val")]
    assert find_leaks(*splits) == [("p2", "p7")]
    assert sorted(opened) == ["p2.bmp", "p7.bmp"]


def test_a_drawn_split_keeps_images_of_the_same_bytes_together(tmp_path):
    root = own_set(tmp_path / "set", lists=False)
    before = [open_split("folder", root, name).ids for name in ("train", "val")]
    assert sorted([*before[0], *before[1]]) == list(IDS)
    for image_id in before[1]:  # a copy of each image of val, which must not go to train
        for part in ("images", "masks"):
            shutil.copy(root / part / f"{image_id}.png", root / part / f"{image_id}_again.png")
    splits = [open_split("folder", root, name) for name in ("train", "val")]
    assert find_leaks(*splits) == []
    assert splits[1].ids == sorted([*before[1], *(f"{i}_again" for i in before[1])])


# Images too large.


def bomb(path, width, height):
    Image.new("1", (width, height)).save(path, optimize=True)
    return path


def test_an_image_over_the_limit_names_windows_and_cutting_up(both, tmp_path):
    root = own_set(tmp_path / "set")
    bomb(root / "images/p0.png", 14_000, 13_000)
    assert MOST < 14_000 * 13_000
    code, said = both()
    assert code == 2
    assert "p0.png (14,000 x 13,000 pixels" in said
    assert "cut it into pieces, or have predict look at windows of it (--slide 513)" in said
    with pytest.raises(UserError, match=r"p0\.png: .*--slide"):
        open_image(root / "images/p0.png")


def test_windows_of_it_are_read(tmp_path):
    assert open_image(bomb(tmp_path / "a.png", 14_000, 13_000), windows=True).size == (14_000, 13_000)


def test_the_limit_falls_with_the_memory(tmp_path, monkeypatch):
    path = bomb(tmp_path / "a.png", 2000, 1000)
    assert read_header(path).size == (1000, 2000)
    monkeypatch.setattr("rws.data.opening.memory_bytes", lambda: 100 << 20)
    with pytest.raises(UserError, match=r"2,000 x 1,000 pixels, which take 0\.1 of 0\.1 GB of memory"):
        read_image(path)
    assert open_image(path, windows=True).size == (2000, 1000)
    monkeypatch.setattr("rws.data.opening.memory_bytes", lambda: 10 << 20)
    with pytest.raises(UserError, match=r"cut it into pieces$"):
        open_image(path, windows=True)


def test_pillows_own_limit_is_as_before(tmp_path):
    before = Image.MAX_IMAGE_PIXELS
    read_image(bomb(tmp_path / "a.png", 200, 100))
    assert before == Image.MAX_IMAGE_PIXELS
