"""One process at a time in a run's folder."""

import subprocess
import sys

import pytest

from rws.errors import UserError
from rws.runs.lock import only_one

HOLD = """
import sys, pathlib
from rws.runs.lock import only_one
with only_one(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.readline()
"""


def test_the_second_process_is_refused_until_the_first_has_ended(tmp_path):
    folder = tmp_path / "runs" / "one"
    argv = [sys.executable, "-c", HOLD, str(folder)]
    first = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert first.stdout.readline() == "held\n"
    with pytest.raises(UserError, match=f"process {first.pid} is at work on this run"), only_one(folder):
        pass
    with only_one(folder.with_name("other")):
        pass
    first.kill()  # without a chance to tidy up
    first.wait()
    with only_one(folder):
        pass


def test_a_folder_is_free_again_after_an_error(tmp_path):
    with pytest.raises(ZeroDivisionError), only_one(tmp_path / "run"):
        raise ZeroDivisionError
    with only_one(tmp_path / "run"):
        pass
