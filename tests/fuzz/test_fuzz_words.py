"""Lists, configurations and flags."""

import random
import re
from pathlib import Path

import pytest
import yaml
from fuzz import IDS, ODD, TREE, WORDS, bent, changed, sample_and_all, try_all, wrong
from tiny import demo_set, load_script, tiny_config

from rws.cli import dump
from rws.config import OPTIONS
from rws.look import guide

train, predict = load_script("train"), load_script("predict")
SHORT = 4  # seconds after which a training that was told to take years is interrupted
LINES = (
    "im0", "im0.jpg", "images/im0.jpg", "images/im0.jpg masks/im0.png", "im0,im1", "im0 1", "../im0",
    "/im0", "im9",
    "", "\t", "# im0", "IM0", "ím0", "i\u0301m0", "im0\x00", "\x1b[2J", "*", "im*", ".", "..", "x" * 5000,
    "C:\\im0", "~",
)  # fmt: skip
ENCODINGS = ("utf-8", "utf-8", "utf-8-sig", "utf-16", "utf-32", "latin-1", "cp1252")


def lines(rng: random.Random, usual: tuple[str, ...]) -> bytes:
    """A text file of a few usual and odd lines, in an encoding and with line ends of any kind."""
    chosen = [*usual[: rng.randrange(len(usual) + 1)], *rng.choices(LINES, k=rng.choice((0, 1, 1, 3)))]
    rng.shuffle(chosen)
    text = rng.choice(("\n", "\n", "\r\n", "\r", "\n\n")).join(chosen)
    content = (text + rng.choice(("", "\n"))).encode(rng.choice(ENCODINGS), errors="replace")
    return bent(rng, content) if rng.random() < 0.2 else content


@sample_and_all(12, 500)
def test_lists(numbers, tmp_path, spoilable):
    def attempt(rng: random.Random, place: Path) -> str:
        root = spoilable(place)
        name = rng.choice(("train.txt", "train.txt", "val.txt", "classes.txt"))
        usual = ("background", "box 1 2 3", "disc", "box") if name == "classes.txt" else IDS[:4]
        (root / name).write_bytes(lines(rng, usual))
        return wrong(train.main, "--config", place / "c.yaml")

    try_all(tmp_path, numbers, attempt, "list")


def text_of(rng: random.Random) -> bytes:
    """A configuration of which some values are odd, or its text, or its bytes."""
    odd = [value for value in ODD if value != "\ud800"]
    tree = changed(rng, TREE, odd)
    if isinstance(tree, dict) and rng.random() < 0.5:
        tree.setdefault(rng.choice(("data", "train", "x", "slices")), rng.choice(odd))
    text = yaml.safe_dump(tree, default_flow_style=rng.choice((None, True, False)))
    more = rng.choice(
        (
            "", "", "", "base: ", "base: c.yaml\n", "base: [a]\n", "base: .\n", "base: /dev/null\n",
            "\ttrain: 1\n",
            "train: &a {x: *a}\n", "? [1]\n: 2\n", "1: 2\n", "--- 1\n", "%YAML 9.9\n---\n",
            "<<: {train: {lr: 1}}\n",
            "<<: 1\n", "x: !!set {a}\n", "x: !!timestamp x\n", "x: !!int a\n", "x: " + "[" * 2000,
            "x: &a [*a, *a]\n",
            "name: 1_0\nseed: 0o7\n", "x: 99999-01-01\n", "x: 2001-13-01\n", "x: !!float '1:99:1'\n",
            "x: =\n",
        )
    )  # fmt: skip
    return bent(rng, (more + text).encode()) if rng.random() < 0.3 else (more + text).encode()


def laughs(levels: int) -> str:
    """Aliases that grow: each level holds the one before nine times."""
    rows = [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, levels)]
    return "\n".join(["a0: &a0 [x, x]", *rows, f"data: *a{levels - 1}"])


def growing(levels: int) -> str:
    """The same with dictionaries, which are read as options."""
    parts = (f"b{k}: &b{k} {{{', '.join(f'k{j}: *b{k - 1}' for j in range(9))}}}" for k in range(1, levels))
    return "\n".join(["b0: &b0 {x: 1}", *parts, f"data: *b{levels - 1}"])


@sample_and_all(15, 700)
def test_configurations(numbers, tmp_path, spoilable):
    def attempt(rng: random.Random, place: Path) -> str:
        root = spoilable(place)
        (place / "c.yaml").write_bytes(text_of(rng))
        flags = ("--data.root", root, "--runs", place / "runs", "--data.cache", "null")
        return wrong(train.main, "--config", place / "c.yaml", *flags, seconds=SHORT, stopped=True)

    try_all(tmp_path, numbers, attempt, "configuration")


@pytest.mark.parametrize("text", [laughs(9), growing(9)], ids=["lists", "dictionaries"])
def test_aliases_that_grow(tmp_path, text):
    (tmp_path / "c.yaml").write_text(text)
    assert wrong(train.main, "--config", tmp_path / "c.yaml") == ""


@sample_and_all(25, 1500)
def test_flags_of_train(numbers, tmp_path):
    (tmp_path / "c.yaml").write_text(dump(tiny_config(demo_set(tmp_path / "set"), tmp_path, limit=1)))

    def attempt(rng: random.Random, place: Path) -> str:
        names = rng.choices(sorted(OPTIONS), k=rng.choice((1, 1, 2)))
        words = [word_for(rng, name) for name in names]
        usual = ("--config", tmp_path / "c.yaml", "--runs", place)
        flags = [part for name, word in zip(names, words) for part in spelt(rng, name, word)]
        return told(wrong(train.main, *usual, *flags, seconds=SHORT, stopped=True), flags)

    try_all(tmp_path, numbers, attempt, "flag")


NUMBERS = (
    "0", "1", "2", "3", "7", "0.1", "0.5", "1.5", "1e-300", "1e-9", "1e9", "1e300", "1000000", "9" * 30,
)  # fmt: skip


def word_for(rng: random.Random, name: str) -> str:
    """A word for an option: more than half of them of the kind that it takes."""
    kind = str(OPTIONS[name].type)
    if name in ("runs", "data.cache"):  # files are written there
        return "x"
    if rng.random() < 0.4 or kind == str(str):
        return rng.choice(WORDS)
    if "Literal" in kind:
        return rng.choice(re.findall(r"'([^']+)'", kind))
    if "list" in kind:
        return rng.choice(("[backbone.0]", "[backbone.2, backbone.1]", "[]", "[x]"))
    if "tuple" in kind:
        return f"[{rng.choice(NUMBERS)}, {rng.choice(NUMBERS)}]"
    return rng.choice(("true", "false")) if kind == str(bool) else rng.choice(NUMBERS)


def spelt(rng: random.Random, name: str, word: str) -> list[str]:
    name = f"--{name.replace('_', '-') if rng.random() < 0.5 else name}"
    return rng.choice(([f"{name}={word}"], [name, word], [name, word], [name], [name, word, word]))


def told(said: str, flags: list[str]) -> str:
    return said and f"{[flag[:60] for flag in flags]}: {said}"


PREDICT = (
    "--input", "--output", "--checkpoint", "--tta", "--slide", "--stride", "--cam", "--cam-method",
    "--device",
    "--sequence", "--format", "--fps", "--foreground", "--titles", "--width", "--compare", "--choose",
    "--export",
    "--export-size", "--help", "--inputs", "--rate",
)  # fmt: skip


@sample_and_all(15, 500)
def test_flags_of_predict(numbers, tmp_path, checkpoint, good_set):
    def attempt(rng: random.Random, place: Path) -> str:
        source = good_set / rng.choice(("images/im0.jpg", "images", "."))
        usual = ["--checkpoint", checkpoint, "--input", source, "--output", place / "out"]
        words = [word for word in WORDS if word not in ("0", "1", "3")]  # no cameras
        odd = [
            part for name in rng.choices(PREDICT, k=rng.choice((1, 2))) for part in (name, rng.choice(words))
        ]
        odd = odd[: len(odd) - (rng.random() < 0.2)]
        return told(wrong(predict.main, *usual, *odd, seconds=SHORT, stopped=True), odd)

    try_all(tmp_path, numbers, attempt, "flag of predict")


@sample_and_all(3, 100)
def test_flags_of_the_guide(numbers, tmp_path, checkpoint, good_set):
    def attempt(rng: random.Random, place: Path) -> str:
        usual = ["--checkpoint", checkpoint, "--data.name", "folder", "--data.root", good_set]
        odd = [f"--{rng.choice((*sorted(OPTIONS), 'split', 'checkpoint', 'config'))}", rng.choice(WORDS)]
        return told(wrong(guide.main, *usual, *odd, seconds=SHORT, stopped=True), odd)

    try_all(tmp_path, numbers, attempt, "flag of the guide")
