"""A wheel, made from a source archive: what it carries, and that its commands work away from the checkout."""

import importlib.util
import os
import shutil
import site
import subprocess
import sys
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest
from tiny import REPOSITORY, demo_set

SOURCES = ("pyproject.toml", "setup.py", "MANIFEST.in", "requirements.txt", "README.md", "LICENSE")
FOLDERS = ("rws", "configs", "FWM_datalist_20Class")
BUILD = "import sys; from setuptools import build_meta as b; getattr(b, f'build_{sys.argv[1]}')(sys.argv[2])"
ENTRY = "rws.commands.main:main"
LISTED = """
from rws.data.sets.voc2012 import class_list
print(*class_list("FWM_datalist_20Class", "val", "cat"))
"""
# The demo in a few steps.
SHORT = ("--train.epochs", 1, "--train.eval_every", 1, "--data.workers", 0, "--device", "cpu")


def run(*argv: object, folder: Path) -> str:
    """Run a command that sees neither this checkout nor its environment; what it says."""
    env = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run([*map(str, argv)], cwd=folder, env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """The wheel of the source archive of this checkout, built in a copy."""
    place = tmp_path_factory.mktemp("wheel")
    copy = place / "copy"
    copy.mkdir()
    for name in SOURCES:
        shutil.copy(REPOSITORY / name, copy)
    for name in FOLDERS:
        shutil.copytree(REPOSITORY / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    run(sys.executable, "-c", BUILD, "sdist", place, folder=copy)
    (archive,) = place.glob("rws-*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(place / "unpacked", filter="data")
    (unpacked,) = (place / "unpacked").iterdir()
    run(sys.executable, "-c", BUILD, "wheel", place, folder=unpacked)
    (made,) = place.glob("rws-*.whl")
    return made


def lying_in(*folders: str) -> set[str]:
    """The files of some folders of the repository."""
    paths = (path for folder in folders for path in (REPOSITORY / folder).rglob("*") if path.is_file())
    return {path.relative_to(REPOSITORY).as_posix() for path in paths if "__pycache__" not in path.parts}


def test_a_wheel_carries_the_code_the_configurations_and_the_lists(wheel):
    with zipfile.ZipFile(wheel) as opened:
        names = {name for name in opened.namelist() if ".dist-info/" not in name}
        (entries,) = (name for name in opened.namelist() if name.endswith("entry_points.txt"))
        assert opened.read(entries).decode().split() == ["[console_scripts]", "rws", "=", ENTRY]
        for name in ("configs/demo.yaml", "FWM_datalist_20Class/cat/val_cat_list.txt"):
            assert opened.read(f"rws/share/{name}") == (REPOSITORY / name).read_bytes()
    assert names == lying_in("rws") | {f"rws/share/{name}" for name in lying_in(*FOLDERS[1:])}


@pytest.mark.slow
def test_an_installed_wheel_trains_and_predicts_in_another_directory(wheel, tmp_path):
    """An environment with the wheel alone; torch and the rest come from this one, without its rws."""
    venv.create(tmp_path / "env", with_pip=False)
    python, rws = tmp_path / "env/bin/python", tmp_path / "env/bin/rws"
    pip = (sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check")
    run(*pip, "install", "--no-deps", "--no-index", wheel, folder=tmp_path)
    code = "import site; print(site.getsitepackages()[0])"
    packages = Path(run(python, "-c", code, folder=tmp_path).strip())
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")  # no .pth in there is read
    work = tmp_path / "work"
    work.mkdir()
    assert run(python, "-c", "import rws; print(rws.__file__)", folder=work).startswith(str(packages))
    images = demo_set(work / "data" / "demo", train=6, val=2)

    run(rws, "check", "--config", "demo", "--data.workers", "0", folder=work)
    said = run(rws, "train", "--config", "demo", *SHORT, folder=work)
    assert "configuration: demo; run folder: runs/demo" in said
    best, report = work / "runs/demo/best.pt", work / "runs/demo/report.html"
    assert best.is_file()
    report.unlink()
    run(rws, "report", "runs/demo", folder=work)
    assert report.stat().st_size > 100_000
    photo = next((images / "JPEGImages").iterdir())
    run(rws, "predict", "--checkpoint", best, "--input", photo, "--output", "out", folder=work)
    assert (work / "out" / f"{photo.stem}.png").is_file()
    if importlib.util.find_spec("rws.evaluate"):
        run(rws, "val", "--checkpoint", best, folder=work)
    assert "weak slices: " in run(rws, "guide", "--checkpoint", best, "--data.workers", 0, folder=work)
    ids = (REPOSITORY / "FWM_datalist_20Class/cat/val_cat_list.txt").read_text().split()
    assert run(python, "-c", LISTED, folder=work).split() == ids
