"""Batches of a loader's processes: they arrive with little shared memory; what ends a process is one line."""

import errno
import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context

import pytest
import torch
from tiny import REPOSITORY
from torch.utils.data import DataLoader, Dataset

from rws.errors import exit_code
from rws.runtime import loading
from rws.runtime.loading import Loader, LoaderStopped, told


@dataclass(frozen=True)
class Pair:
    """A batch as the project has them: tensors in a dataclass, in a tuple, in a dictionary."""

    image: torch.Tensor
    more: tuple
    name: str


class Pairs(Dataset):
    """Pairs whose values tell their index; `spoil` is called with each index first."""

    def __init__(self, count: int, spoil=lambda index: None):
        self.count, self.spoil = count, spoil

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, index: int) -> Pair:
        self.spoil(index)
        return Pair(
            torch.full((3, 8), float(index)), ({"n": torch.arange(index)}, [torch.ones(2)]), str(index)
        )


def batches(workers: int, **further) -> list[Pair]:
    return list(Loader(Pairs(5), workers, batch_size=None, **further))


@pytest.fixture
def no_room(monkeypatch):
    """No shared memory at all, and the note about it not yet said."""
    loading._say_once.cache_clear()
    monkeypatch.setattr(loading, "shared_room", lambda: 0)


@pytest.fixture
def took_shared(monkeypatch) -> list[bool]:
    """For each batch whether it came through shared memory."""
    real, seen = loading.Parcel.open, []
    monkeypatch.setattr(loading.Parcel, "open", lambda parcel: seen.append(parcel.shared) or real(parcel))
    return seen


def assert_same(one: list[Pair], other: list[Pair]) -> None:
    assert [pair.name for pair in one] == [pair.name for pair in other] == list("01234")
    for a, b in zip(one, other):
        assert torch.equal(a.image, b.image)
        assert torch.equal(a.more[0]["n"], b.more[0]["n"])
        assert torch.equal(a.more[1][0], b.more[1][0])


def test_batches_come_through_shared_memory_where_there_is_room(took_shared, capsys):
    assert_same(batches(2), batches(0))
    assert took_shared == [True] * 5
    assert capsys.readouterr().out == ""


def test_where_there_is_none_they_are_the_same_and_it_is_said_once(no_room, took_shared, capsys):
    assert_same(batches(2), batches(0))
    assert took_shared == [False] * 5
    (line,) = capsys.readouterr().out.splitlines()
    assert line.startswith("note: /dev/shm is too small")


def test_room_is_asked_for_by_the_bytes_of_all_tensors(monkeypatch):
    batch = Pair(torch.zeros(10), ({"n": torch.zeros(5, dtype=torch.int64)}, [torch.zeros(1)]), "")
    bytes_ = 4 * 10 + 8 * 5 + 4
    for room, shared in ((3 * bytes_, True), (3 * bytes_ - 1, False)):
        monkeypatch.setattr(loading, "shared_room", lambda room=room: room)
        assert loading.pack(batch, processes=2).shared is shared


def test_memory_that_another_process_takes_first(monkeypatch):
    def full(batch):
        raise RuntimeError("unable to allocate shared memory(shm) for file </torch_1>: No space left (28)")

    monkeypatch.setattr(loading.ForkingPickler, "dumps", full)
    parcel = loading.pack(torch.arange(3), processes=1)
    assert not parcel.shared
    assert parcel.open().tolist() == [0, 1, 2]


def killed_by(signum: signal.Signals):
    def spoil(index: int) -> None:
        if index == 2:
            os.kill(os.getpid(), signum)

    return spoil


def out_of_memory(index: int) -> None:
    raise MemoryError


ENDS = {
    "killed": (killed_by(signal.SIGKILL), "for want of memory; take fewer by --data.workers"),
    "bus error": (killed_by(signal.SIGBUS), "shared memory (/dev/shm); give it more (docker run --shm-size"),
    "segmentation fault": (killed_by(signal.SIGSEGV), "signal (Segmentation fault); --data.workers 0 shows"),
    "memory": (out_of_memory, "no memory for another process; take fewer by --data.workers"),
}


@pytest.mark.parametrize("name", ENDS)
def test_the_end_of_a_process_is_one_line(name, capsys):
    spoil, said = ENDS[name]
    loader = Loader(Pairs(9, spoil), 1, batch_size=None)
    assert exit_code(lambda: len(list(loader)), results="", interrupted="") == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: loading: ")
    assert said in line


def test_a_process_that_dies_while_its_batch_is_worked_on():
    """torch's handler raises in the midst of the work, which is told as well."""

    def works() -> None:
        for _ in Loader(Pairs(9, killed_by(signal.SIGKILL)), 1, batch_size=None):
            threading.Event().wait(60)

    with pytest.raises(LoaderStopped, match="for want of memory"):
        works()


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.ENOSPC, "/dev/shm is full"), (errno.EMFILE, "ulimit"), (errno.EAGAIN, "no further process")],
)
def test_processes_that_cannot_start(monkeypatch, number, said):
    def fails(loader):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(DataLoader, "__iter__", fails)
    with pytest.raises(LoaderStopped, match=said):
        next(iter(Loader(Pairs(1), 1)))


def test_an_error_of_another_kind_is_left_as_it_is():
    with pytest.raises(ZeroDivisionError), told():
        raise ZeroDivisionError
    with pytest.raises(OSError, match=r"a\.png"), told():
        raise OSError(errno.ENOSPC, "full", "a.png")
    with pytest.raises(RuntimeError, match=r"^shapes$"), told():
        raise RuntimeError("shapes")


def test_a_process_of_the_pool_that_is_killed():
    pool = ProcessPoolExecutor(1, mp_context=get_context("fork"))
    with pool, pytest.raises(LoaderStopped, match="for want of memory"), told():
        pool.submit(signal.raise_signal, signal.SIGKILL).result()


SMALL = """
import torch
from rws.runtime.loading import Loader
want = torch.arange(300_000.0).reshape(3, 100_000)
got = list(Loader(list(want), 2, batch_size=None))
assert all(map(torch.equal, got, want))
"""


@pytest.mark.slow
@pytest.mark.parametrize("kilobytes", [8, 900])
def test_a_small_shared_memory_indeed(kilobytes):
    """In a mount of its own (root): 8 kB hold two semaphores, 900 kB two of the batches."""
    script = f'mount -t tmpfs -o size={kilobytes}k tmpfs /dev/shm || exit 99; exec "$0" -c "$1"'
    command = ["unshare", "-m", "bash", "-c", script, sys.executable, SMALL]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True)
    if done.returncode == 99 or "unshare failed" in done.stderr:
        pytest.skip("a mount needs root: run this test as root")
    if kilobytes == 8:
        assert "LoaderStopped: loading: /dev/shm is full" in done.stderr.splitlines()[-1]
    else:
        assert done.returncode == 0, done.stderr
        assert "note: /dev/shm is too small" in done.stdout
