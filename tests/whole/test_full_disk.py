"""A disk that takes no more: one line, exit code 2, and no half-written file. A limit stands for the disk."""

import contextlib
import resource
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch
from films import tiny_checkpoint
from PIL import Image
from test_bad_input import Trial, train
from tiny import REPOSITORY, TINY, TinyNetwork, load_script

from rws.models import FAMILIES
from rws.runs import checkpoint

predict = load_script("predict")


class LargeNetwork(TinyNetwork):
    """Its checkpoint of 2 MB is larger than what is left, unlike anything else that a run writes."""

    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__(num_classes, aux)
        self.register_buffer("large", torch.zeros(500_000))


@pytest.fixture(autouse=True)
def networks(monkeypatch) -> None:
    monkeypatch.setitem(FAMILIES, "tiny", replace(TINY, build=LargeNetwork))


@contextlib.contextmanager
def files_of_at_most(size: int) -> Iterator[None]:
    """The system refuses to write more than so many bytes into a file."""
    _, hard = before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def the_error(said: str) -> str:
    assert "Traceback" not in said
    (line,) = [line for line in said.replace("\r", "\n").splitlines() if line.startswith("error: ")]
    return line


def test_a_large_checkpoint(tmp_path, capsys):
    trial = Trial(tmp_path)
    flags = trial.command("--cycles.plain", "false")
    with files_of_at_most(1_000_000):
        assert train.main(flags) == 2
    assert f"error: {tmp_path}/runs/run/best.pt: file too large; " in the_error(capsys.readouterr().err)
    assert not list((tmp_path / "runs").rglob("*.pt"))
    assert train.main([*flags, "--resume"]) == 0
    assert "large" in checkpoint.load(tmp_path / "runs/run/last.pt")["model"]


def test_a_checkpoint_that_does_not_fit_leaves_the_one_before(tmp_path):
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"step": 1})
    with files_of_at_most(1_000_000), pytest.raises(OSError, match=r"File too large: '.*a\.pt'"):
        checkpoint.save(path, {"step": 2, "x": torch.zeros(500_000)}, keep=True)
    assert checkpoint.load(path)["step"] == 1
    assert [each.name for each in tmp_path.iterdir()] == ["a.pt"]


def test_pictures_of_predict(tmp_path, monkeypatch, capsys):
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    network = tiny_checkpoint(tmp_path / "a.pt")
    for folder in ("in", "out"):
        (tmp_path / folder).mkdir()
    for name, size in (("large", 400), ("small", 40)):
        noise = np.random.default_rng(0).integers(0, 256, (size, size, 3), np.uint8)
        Image.fromarray(noise).save(tmp_path / "in" / f"{name}.png")
    Image.new("RGB", (5, 7)).save(tmp_path / "out/large_overlay.jpg")
    command = ["--checkpoint", network, "--input", tmp_path / "in", "--output", tmp_path / "out"]
    with files_of_at_most(30_000):
        assert predict.main(list(map(str, command))) == 2
    said = capsys.readouterr()
    assert "large_overlay.jpg: cannot be written (File too large)" in the_error(said.err)
    assert "1 of 2 images predicted" in said.out
    names = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert names == ["large.png", "large_overlay.jpg", "small.png", "small_overlay.jpg"]
    with Image.open(tmp_path / "out/large_overlay.jpg") as picture:
        assert picture.size == (5, 7), "the picture of before"


EXPORT = """
import resource, sys
sys.path[:0] = ["{tests}", "{repository}"]
from films import tiny_checkpoint
from tiny import TINY
from pathlib import Path
import predict
from rws.models import FAMILIES
FAMILIES["tiny"] = TINY
path = tiny_checkpoint(Path("a.pt"))
resource.setrlimit(resource.RLIMIT_FSIZE, (4000, 4000))
for form, ending in (("torchscript", "pt"), ("torch_export", "pt2")):
    print(form, predict.main(["--export", form, f"out/net.{{ending}}", "--checkpoint", str(path)]))
"""


def test_an_exported_file(tmp_path):
    code = EXPORT.format(tests=REPOSITORY / "tests/helpers", repository=REPOSITORY)
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert [line for line in done.stdout.splitlines() if line.endswith(" 2")] == [
        "torchscript 2",
        "torch_export 2",
    ]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert errors == [f"error: net.{ending}: cannot be written (File too large)" for ending in ("pt", "pt2")]
    assert not list((tmp_path / "out").iterdir())
