"""What the terminal is shown of names that would control it."""

import io
import os
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny import TINY, NoScalars, load_script
from torch.utils.data import DataLoader, Dataset

from rws.errors import DamagedFile, UserError, exit_code, safe
from rws.look import guide
from rws.models import FAMILIES
from rws.runs import loggers

HOSTILE = {
    "\x1b[31mred\x1b[0m": r"\x1b[31mred\x1b[0m",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "a\rerror: b": r"a\rerror: b",
    "a\nerror: b": r"a\nerror: b",
    "a\tb\x00c\x7f": r"a\tb\x00c\x7f",
    "\x9b31m\x85": r"\x9b31m\x85",  # C1: one character for escape and bracket
    "photo\u202egpj.exe": r"photo\u202egpj.exe",
    "\u2066a\u2069": r"\u2066a\u2069",
    "a\u2028b\u2029c": r"a\u2028b\u2029c",
    os.fsdecode(b"a\xffb"): r"a\udcffb",
}
HARMLESS = [
    "plain name.jpg",
    "ä ö 日本 😀 e\u0301",
    "\u05e9\u05dc\u05d5\u05dd \u200f",
    "a\u200db",
    "C:\\x1b",
    "a\xa0b",
]


@pytest.mark.parametrize(("text", "shown"), HOSTILE.items())
def test_what_controls_a_terminal_is_escaped(text, shown):
    assert safe(text) == shown
    assert safe(safe(text)) == shown


@pytest.mark.parametrize("text", HARMLESS)
def test_names_of_any_language_stay(text):
    assert safe(text) == text


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [UserError, DamagedFile])
def test_an_error_is_one_safe_line_wherever_it_is_printed(text, kind):
    error = kind(f"{text}: no such file")
    assert str(error) == f"{HOSTILE[text]}: no such file"
    assert str(pickle.loads(pickle.dumps(error))) == str(error)


@pytest.mark.parametrize("text", HOSTILE)
@pytest.mark.parametrize("kind", [UserError, FileNotFoundError])
def test_a_command_ends_with_one_safe_line(text, kind, capsys):
    def fail():
        raise kind(*((2, "No such file", text) if kind is FileNotFoundError else (f"{text}: odd",)))

    assert exit_code(fail, results="into --output", interrupted="") == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
    assert not set(said[:-1]) & set("\x1b\r\n\x07\x9b\x85\u202e\u2066\u2028\udcff")


@pytest.mark.parametrize(
    ("there", "said"),
    [("file", "is a file, and a folder is needed"), ("file/below", "not a directory")],
)
def test_a_file_in_the_place_of_a_folder_is_named_first(there, said, tmp_path, capsys):
    (tmp_path / "file").write_text("mine")
    make = (tmp_path / there).mkdir
    assert (
        exit_code(lambda: make(parents=True, exist_ok=True), results="runs go to --runs", interrupted="") == 2
    )
    assert capsys.readouterr().err == f"error: {tmp_path / there}: {said}; runs go to --runs\n"


class Failing(Dataset):
    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int):
        try:
            raise ValueError("inner")
        except ValueError as error:
            raise DamagedFile("a\nb\x1b: damaged") from error


def test_the_error_of_a_loader_process_comes_without_its_traceback():
    with pytest.raises(DamagedFile) as caught:
        next(iter(DataLoader(Failing(), num_workers=1)))
    assert str(caught.value) == r"a\nb\x1b: damaged"


def test_letters_that_the_terminal_lacks_are_escaped_and_no_traceback(monkeypatch):
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert exit_code(lambda: print("ä\udcff"), results="", interrupted="") == 0
    stream.flush()
    assert stream.buffer.getvalue() == b"\\xe4\\udcff\n"


# Every command, on a set whose files and classes have such names, in a run of such a name.


@pytest.fixture
def hostile(tmp_path, monkeypatch) -> list[str]:
    """The flags of a run on such a set."""
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    monkeypatch.setattr(loggers, "SummaryWriter", NoScalars)
    root = tmp_path / "set"
    for part in ("images", "masks"):
        (root / part).mkdir(parents=True)
    # A name cannot hold a zero byte.
    for k, name in enumerate([*(text.replace("\0", "") for text in HOSTILE), "$x^$"]):
        label = np.zeros((24, 32), np.uint8)
        label[4:20, 6:20] = 1 + k % 2
        Image.fromarray(label).save(root / "masks" / f"{name}.png")
        photo = np.random.default_rng(k).integers(0, 256, (24, 32, 3), np.uint8)
        Image.fromarray(photo).save(root / "images" / f"{name}.jpg")
    (root / "classes.txt").write_text("_background_\nbo\x1b[1mx\ndi\u202esc$^\n", encoding="utf-8")
    flags = ["--data.name=folder", f"--data.root={root}", "--data.workers=0", "--data.base-size=24"]
    flags += ["--data.crop-size=[24, 32]", "--model.name=tiny", "--model.weights=none", "--device=cpu"]
    return [*flags, f"--runs={tmp_path}/runs", "--name=r\x1b[7m", "--train.batch-size=2", "--cycles.limit=0"]


def assert_clean(said: str) -> None:
    assert said
    assert not {c for c in said.replace("\n", "") if safe(c) != c}
    assert "Traceback" not in said


@pytest.mark.filterwarnings("error")
def test_no_command_passes_such_names_on(hostile, tmp_path, capfd):
    train, predict = load_script("train"), load_script("predict")
    assert train.main([*hostile, "--check-data"]) == 0
    assert train.main(hostile) == 0
    last = str(tmp_path / "runs" / "r\x1b[7m" / "last.pt")
    photos = ["--checkpoint", last, "--input", str(tmp_path / "set/images"), "--device", "cpu"]
    assert predict.main([*photos, "--output", str(tmp_path / "o\x1b[1m"), "--cam", "bo\x1b[1mx"]) == 0
    assert predict.main([*photos, "--output", str(tmp_path / "o\x1b[1m"), "--cam", "no\x1b[1m"]) == 2
    Path(tmp_path / "set/images" / "cut\x1b[1m.jpg").write_bytes(b"\xff\xd8")
    assert predict.main([*photos, "--output", str(tmp_path / "o\x1b[1m")]) == 2
    assert guide.main(["--checkpoint", last, "--output", str(tmp_path / "g\n")]) == 0
    said = capfd.readouterr()
    assert_clean(said.out)
    assert_clean(said.err)
    assert r"cut\x1b[1m.jpg" in said.err
    assert r"r\x1b[7m" in said.out
    assert "no report" not in said.out
    report = (tmp_path / "runs" / "r\x1b[7m" / "report.html").read_text(encoding="utf-8")
    assert r"a\udcffb" in report
