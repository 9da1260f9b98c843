"""A corpus of odd and bad files: each is handled or gives one clear line; none writes outside its run."""

import hashlib
import io
import os
import pickle
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from test_bad_input import Trial, train

pytestmark = pytest.mark.usefixtures("tiny_family")

SIZE = (16, 12)
HANDLED = None  # the expected line of what is no error


def saved(image: Image.Image, form: str, **options) -> bytes:
    file = io.BytesIO()
    image.save(file, form, **options)
    return file.getvalue()


def grey(mode: str, value: int = 3) -> Image.Image:
    return Image.new(mode, SIZE, value)


def coloured(mode: str = "RGB") -> Image.Image:
    return Image.new("RGB", SIZE, (200, 30, 90)).convert(mode)


def sixteen_bits() -> Image.Image:
    return Image.fromarray(np.full(SIZE[::-1], 3, np.uint16))


def turned() -> bytes:
    exif = Image.Exif()
    exif[0x0112] = 6
    return saved(coloured(), "JPEG", exif=exif)


def bomb() -> bytes:
    """The header of a PNG of 60,000 x 60,000 pixels, and nothing else that matters."""
    png = bytearray(saved(coloured(), "PNG"))
    png[16:24] = (60000).to_bytes(4, "big") * 2
    return bytes(png)


class Code:
    """Writes a file where it is unpickled."""

    def __init__(self, path: Path):
        self.path = path

    def __reduce__(self):
        return (os.system, (f"touch {self.path}",))


FRAMES = [coloured(), Image.new("RGB", SIZE, (0, 0, 0))]
HTML = b"<!DOCTYPE html><html><body>404 Not Found</body></html>"
JPEG, PNG = saved(coloured(), "JPEG"), saved(coloured(), "PNG")
LABEL = saved(grey("L"), "PNG")

# In place of the photograph im0.jpg, which is found by its name and read by its content.
IMAGES = {
    "empty": (b"", "im0.jpg"),
    "one byte": (b"\xff", "im0.jpg"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "im0.jpg"),
    "half a png": (PNG[: len(PNG) // 2], "im0.jpg"),
    "a text": (b"not an image\n" * 9, "im0.jpg"),
    "an HTML page": (HTML, "im0.jpg"),
    "noise": (np.random.default_rng(0).bytes(4000), "im0.jpg"),
    "a decompression bomb": (bomb(), "im0.jpg"),
    "of another size than its label": (saved(Image.new("RGB", (9, 9)), "JPEG"), "im0"),
    "a png under a jpeg's name": (PNG, HANDLED),
    "CMYK": (saved(coloured("CMYK"), "JPEG"), HANDLED),
    "RGBA": (saved(coloured("RGBA"), "PNG"), HANDLED),
    "grey": (saved(coloured("L"), "PNG"), HANDLED),
    "grey with alpha": (saved(coloured("LA"), "PNG"), HANDLED),
    "one bit": (saved(coloured("1"), "PNG"), HANDLED),
    "a palette": (saved(coloured("P"), "PNG"), HANDLED),
    "16 bits": (saved(sixteen_bits(), "PNG"), HANDLED),
    "animated gif": (saved(FRAMES[0], "GIF", save_all=True, append_images=FRAMES[1:]), "im0.jpg (2 of them)"),
    "animated png": (saved(FRAMES[0], "PNG", save_all=True, append_images=FRAMES[1:]), "im0.jpg (2 of them)"),
    "webp": (saved(coloured(), "WEBP"), HANDLED),
    "tiff": (saved(coloured(), "TIFF"), HANDLED),
    "floats": (saved(Image.new("F", SIZE, 0.5), "TIFF"), HANDLED),
    "turned by EXIF": (turned(), HANDLED),
    "progressive": (saved(coloured(), "JPEG", progressive=True), HANDLED),
}
# In place of the label im0.png.
LABELS = {
    "empty": (b"", "im0.png"),
    "half": (LABEL[: len(LABEL) // 2], "im0.png"),
    "a text": (b"3 3 3", "im0.png"),
    "an HTML page": (HTML, "im0.png"),
    "RGB": (PNG, "im0.png (RGB); labels must hold class indices"),
    "RGBA": (saved(coloured("RGBA"), "PNG"), "im0.png (RGBA); labels must hold class indices"),
    "grey with alpha": (saved(coloured("LA"), "PNG"), "im0.png (88); correct them"),
    "16 bits": (saved(sixteen_bits(), "PNG"), HANDLED),
    "numbers that are no class": (saved(grey("L", 77), "PNG"), "77"),
    "of another size": (saved(Image.new("L", (9, 9), 3), "PNG"), "im0"),
    "a decompression bomb": (bomb(), "im0.png"),
    "one bit": (saved(grey("1", 1), "PNG"), HANDLED),
    "ignored alone": (saved(grey("L", 255), "PNG"), HANDLED),
    "a palette": (saved(grey("P"), "PNG"), HANDLED),
    "4 bits": (saved(grey("P"), "PNG", bits=4), HANDLED),
}
IDS = "im0\nim1\nim2\nim3\nim4\nim5\n"
# In place of the list train.txt.
LISTS = {
    "empty": (b"", "train.txt"),
    "blank lines alone": (b"\n \n\t\n", "train.txt"),
    "UTF-16": (IDS.encode("utf-16"), "train.txt"),
    "bytes of no text": (b"\xff\xfe\xfa\x00\n", "train.txt"),
    "a path up": (b"../../secret\n", "no id but a path"),
    "an absolute path": (b"/etc/passwd\n", "no id but a path"),
    "a path with backslashes": (b"..\\..\\secret\n", "no id but a path"),
    "ids that are not there": (b"im0\nim99\n", "im99"),
    "a zero byte": (b"im0\x00\n", "im0"),
    "very long ids": (b"x" * 5000 + b"\n", "x"),
    "CRLF": (IDS.replace("\n", "\r\n").encode(), HANDLED),
    "a byte order mark": (IDS.encode("utf-8-sig"), HANDLED),
    "no last line end": (IDS.rstrip().encode(), HANDLED),
    "duplicates": ((IDS + IDS).encode(), HANDLED),
    "VOC's second column": (IDS.replace("\n", "  1\n").encode(), HANDLED),
    "blanks around": (IDS.replace("im", "  im").encode(), HANDLED),
}
# In place of the configuration.
YAMLS = {
    "a call": (b"name: !!python/object/apply:os.system ['touch called']\n", "c.yaml"),
    "an object": (b"name: !!python/object:rws.config.Config {}\n", "c.yaml"),
    "a loop": (b"data: &a\n  root: *a\n", "c.yaml: holds itself"),
    "its own base": (b"base: c.yaml\n", "c.yaml: is its own base"),
    "deeply nested": (b"name: " + b"[" * 3000 + b"]" * 3000, "c.yaml"),
    "a word for a number": (b"train: {lr: fast}\n", "lr"),
    "a list for a word": (b"name: [a, b]\n", "name"),
    "a word for a group": (b"train: fast\n", "train"),
    "an unknown key": (b"train: {learning_rate: 1}\n", "unknown key 'train.learning_rate'"),
    "tabs": (b"train:\n\tlr: 1\n", "c.yaml: not valid YAML"),
    "a list": (b"- a\n- b\n", "c.yaml"),
    "a number": (b"7\n", "c.yaml"),
    "bytes of no text": (b"\xff\xfe\x00\x01", "c.yaml"),
    "nothing but a name that leaves the runs": (b"name: ../outside\n", "must be a plain folder name"),
}
# A weights file.
WEIGHTS = {
    "empty": (b"", "w.pth"),
    "an HTML page": (HTML, "w.pth: an HTML or XML page"),
    "a text": (b"weights", "w.pth"),
    "noise": (np.random.default_rng(1).bytes(4000), "w.pth"),
    "a pickle of numbers": (pickle.dumps({"a": 1}), "w.pth"),
}


def digest(folder: Path) -> dict[str, str]:
    """Every file that is not of the run."""
    return {
        str(p): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in folder.rglob("*")
        if p.is_file() and "runs" not in p.relative_to(folder).parts
    }


@pytest.fixture
def answered(tmp_path, monkeypatch, capsys) -> Callable[[Trial, str | None], None]:
    """Runs train.py on a spoilt set, and holds its answer."""
    monkeypatch.chdir(tmp_path)

    def run(trial: Trial, expected: str | None, *flags: str) -> None:
        before = digest(tmp_path)
        capsys.readouterr()
        code = train.main(trial.command("--cycles.plain", "false", *flags))
        said = capsys.readouterr()
        assert digest(tmp_path) == before, "something was written outside the run's folder"
        assert "Traceback" not in said.err
        if expected is HANDLED:
            assert code == 0, said.err
            return
        shown = [line.rsplit("\r", 1)[-1] for line in said.err.split("\n")]
        (line,) = [line for line in shown if line.strip()]
        assert code == 2
        assert line.startswith("error: ")
        assert expected in line

    return run


@pytest.fixture
def trial(tmp_path) -> Trial:
    return Trial(tmp_path)


@pytest.mark.parametrize("name", IMAGES)
def test_images(trial, answered, name):
    content, expected = IMAGES[name]
    trial.image("im0").write_bytes(content)
    answered(trial, expected)


@pytest.mark.parametrize("name", LABELS)
def test_labels(trial, answered, name):
    content, expected = LABELS[name]
    trial.label("im0").write_bytes(content)
    answered(trial, expected)


@pytest.mark.parametrize("name", LISTS)
def test_lists(trial, answered, name):
    content, expected = LISTS[name]
    (trial.root / "ImageSets/Segmentation/train.txt").write_bytes(content)
    answered(trial, expected)


@pytest.mark.parametrize("name", YAMLS)
def test_configurations(trial, answered, name):
    content, expected = YAMLS[name]
    (trial.folder / "c.yaml").write_bytes(content)
    answered(trial, expected)
    assert not (trial.folder / "called").exists()


@pytest.mark.parametrize("name", WEIGHTS)
def test_weights(trial, answered, name):
    content, expected = WEIGHTS[name]
    (trial.folder / "w.pth").write_bytes(content)
    answered(trial, expected, "--model.weights", str(trial.folder / "w.pth"))


@pytest.mark.parametrize(
    ("protocol", "expected"), [(2, "refused, it holds Python objects"), (4, "w.pth: torch cannot read")]
)
def test_weights_that_would_run_code(trial, answered, protocol, expected):
    torch.save({"a": Code(trial.folder / "called")}, trial.folder / "w.pth", pickle_protocol=protocol)
    answered(trial, expected, "--model.weights", str(trial.folder / "w.pth"))
    assert not (trial.folder / "called").exists()


@pytest.mark.parametrize("kind", ["loop", "nowhere", "folder"])
@pytest.mark.parametrize("of", ["image", "label"])
def test_what_is_no_file(trial, answered, of, kind):
    path = getattr(trial, of)("im0")
    path.unlink()
    if kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(path if kind == "loop" else trial.folder / "nowhere")
    answered(trial, "im0")


@pytest.mark.parametrize("name", ["with blanks", "ünïcödé", "日本", "a.b.c", "-dash", "per%cent", "quo'te"])
def test_names_that_are_well_and_odd(trial, answered, name):
    for path in (trial.image("im0"), trial.label("im0")):
        path.rename(path.with_name(f"{name}{path.suffix}"))
    trial.ids_of("train", [name, *trial.ids[1:6]])
    answered(trial, HANDLED)


def test_a_line_end_in_a_name(trial, answered):
    """It ends the id, so that neither half is there."""
    trial.image("im0").rename(trial.image("im\n0"))
    trial.ids_of("train", ["im\n0", *trial.ids[1:6]])
    answered(trial, "2 of 7 ids")


def test_the_corpus_is_large():
    assert sum(map(len, (IMAGES, LABELS, LISTS, YAMLS, WEIGHTS))) + 2 + 6 + 7 + 1 >= 60
