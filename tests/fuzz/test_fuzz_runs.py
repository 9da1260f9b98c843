"""The files of a run: what a resumed run and the report read back."""

import json
import random
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import yaml
from fuzz import bent, changed, sample_and_all, try_all, wrong
from tiny import demo_set, load_script, tiny_config

from rws.cli import dump
from rws.cycle.steps import ACTIONS
from rws.report import __main__ as report
from rws.runtime.signals import Interrupted

train = load_script("train")


@pytest.fixture(scope="module")
def finished(tmp_path_factory, tiny_runs) -> Path:
    """A run of one cycle that ended, and `stopped`, one that was to select its slices."""
    place = tmp_path_factory.mktemp("runs")
    config = replace(tiny_config(demo_set(place / "set"), place / "runs", limit=1), name="run")
    (place / "c.yaml").write_text(dump(config))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rws.report.write.write_or_warn", lambda *args: None)
        assert train.main(["--config", str(place / "c.yaml")]) == 0
        patch.setitem(ACTIONS, "select", stop)
        assert train.main(["--config", str(place / "c.yaml"), "--name", "stopped"]) == 130
    return place


def stop(*args, **kwargs) -> None:
    raise Interrupted(2)


@sample_and_all(10, 600)
def test_files_of_a_run(numbers, tmp_path, finished):
    def attempt(rng: random.Random, place: Path) -> str:
        name = rng.choice(("run", "stopped"))
        shutil.copytree(finished / "runs" / name, place / "runs" / name)
        files = sorted(path for path in (place / "runs" / name).rglob("*") if path.is_file())
        for file in rng.sample(files, rng.choice((1, 1, 3))):
            spoil(rng, file)
        if rng.random() < 0.25:
            return wrong(report.main, place / "runs" / name, "--data.root", finished / "set")
        flags = ("--config", finished / "c.yaml", "--runs", place / "runs", "--name", name)
        return wrong(train.main, *flags, rng.choice(("--resume", "--resume", "--overwrite")))

    try_all(tmp_path, numbers, attempt, "run")


def spoil(rng: random.Random, file: Path) -> None:
    """Damage a file, change what it says, replace it by a folder or take it away."""
    if not file.is_file():
        return
    content, kind = file.read_bytes(), rng.random()
    if kind < 0.1:
        file.unlink()
    elif kind < 0.15:
        file.unlink()
        file.mkdir()
    elif kind < 0.6 and file.suffix == ".json":
        file.write_text(json.dumps(changed(rng, json.loads(content))))
    elif kind < 0.6 and file.suffix == ".yaml":
        odd = (None, 0, -1, "x", [], {}, 1e300)
        file.write_text(yaml.safe_dump(changed(rng, yaml.safe_load(content), odd)))
    else:
        file.write_bytes(bent(rng, content))
