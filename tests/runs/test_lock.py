"""One process at a time in a run's folder."""

import errno
import os
import subprocess
import sys

import pytest

from rws.errors import UserError
from rws.runs import lock
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


FORK = """
import os, pathlib, sys
from rws.runs.lock import only_one
with only_one(pathlib.Path(sys.argv[1])):
    if not os.fork():
        print("forked", os.getpid(), flush=True)
        sys.stdin.read()  # until the test closes it
        os._exit(0)
    os.wait()
"""


def test_a_loader_that_outlives_its_parent_does_not_hold_the_folder(tmp_path):
    argv = [sys.executable, "-c", FORK, str(tmp_path / "run")]
    first = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    word, child = first.stdout.readline().split()
    with pytest.raises(UserError, match=f"process {first.pid} is at work"), only_one(tmp_path / "run"):
        pass
    first.kill()
    first.wait()
    os.kill(int(child), 0)  # it is alive
    with only_one(tmp_path / "run"):
        pass
    first.stdin.close()
    assert word == "forked"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOSYS])
def test_where_there_are_no_locks_it_goes_on_with_a_warning(tmp_path, monkeypatch, capsys, code):
    def flock(file, how):
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with only_one(tmp_path / "run"):
        said = capsys.readouterr().out
    assert said.startswith(f"warning: {tmp_path}/.run.lock: cannot be locked ({os.strerror(code)})")
    assert said.count("\n") == 1


def test_a_holder_without_a_number_is_not_called_unknown(tmp_path, monkeypatch):
    def flock(file, how):
        raise BlockingIOError(errno.EWOULDBLOCK, "held")

    monkeypatch.setattr(lock.fcntl, "flock", flock)
    with pytest.raises(UserError, match="run: another process is at work"), only_one(tmp_path / "run"):
        pass
