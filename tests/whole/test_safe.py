"""What the terminal is shown of names that would control it."""

import io
import os
import pickle
import sys

import pytest
from torch.utils.data import DataLoader, Dataset

from rws.errors import DamagedFile, UserError, exit_code, safe

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
