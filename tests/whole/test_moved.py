"""Commands under the names that they once had end with one line that names the new one, which is there."""

import importlib.util
import subprocess
import sys

import pytest
from tiny import REPOSITORY

NEW = {
    "rws.guide": "rws.look.guide",
    "rws.html_report": "rws.report",
    "experiments.compare": "rws.compare",
    "experiments.refine": "rws.compare.ways",
    "experiments.join": "rws.compare.join",
}


@pytest.mark.parametrize(("old", "new"), NEW.items())
def test_an_old_command_names_the_new_one(old, new):
    command = [sys.executable, "-m", old, "--config", "x.yaml"]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: python -m {old} is now python -m {new}\n"
    assert importlib.util.find_spec(new)
