"""Odd inputs drawn from a seed, and what is wrong with a command's answer to one.

An answer is right when the command ends by itself with code 0 or 2, with no traceback, and with one line of
an error where the code is 2.
"""

import copy
import io
import os
import random
import resource
import shutil
import signal
import traceback
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path

import pytest

SECONDS = 40  # until a command is told to stop; most need less than one
MEMORY = 3 << 30  # bytes that a command may take beyond what this process has
HUGE = 10**30
# A set of six images, and what trains on it.
IDS = tuple(f"im{i}" for i in range(6))
TREE = {
    "name": "run",
    "runs": "runs",
    "seed": 1,
    "device": "cpu",
    "model": {"name": "tiny", "weights": "none", "aux": True},
    "data": {
        "name": "folder", "root": "set", "base_size": 16, "crop_size": [16, 16], "scale": [0.8, 1.5],
        "workers": 0,
    },
    "train": {"epochs": 1, "batch_size": 2, "lr": 0.01},
    "slices": {"size": 0.5, "step": 0.25, "most_per_image": 2},
    "cycles": {"limit": 0, "plain": False},
}  # fmt: skip
# In place of a value of YAML, JSON or a checkpoint.
ODD = (
    None, True, False, 0, 1, -1, 2, 255, 256, HUGE, -HUGE, 0.5, -0.5, 1e300, 1e-300, float("nan"),
    float("inf"),
    "", " ", "x", "1", "nan", "null", "../..", "/nowhere/x", "a\nb", "\x1b[31m", "日本", "\ud800", "x" * 9000,
    [], [[]], [None], [1, "x"], {}, {"": {}}, {"a": [1]},
)  # fmt: skip
# In place of the value of a flag. Where files are written, none of these leaves the folder that a test is in.
WORDS = (
    "", " ", "0", "-1", "1", "3", "1e3", "1e400", "nan", "inf", "-inf", "null", "~", "true", "no", "[]",
    "[1]",
    "[1, 2]", "[0, 0]", "[[1], {}]", "{}", "{a: 1}", "1,2", "1 2", "9" * 30, "0.5", "1e-300", "1_000", "0x10",
    "12:30", "2001-01-01", "&a [*a]", "*a", "!!python/name:os.system", "!!binary x", "'", '"', "%", "{x}",
    "%s",
    "#", "- a", "a: b: c", "x" * 5000, "a/b", "\x1b[2J", "日本", "\u202e", "é", "e\u0301", "\udcff", ":",
    "a:", ":a",
    "a:b", "no.such:thing", "smp:Unet:no", "timm:no", "=", "--", "-", "@x", "auto", "none", "cpu", "cuda",
    "meta",
)  # fmt: skip


def of_seed(*kind: object) -> random.Random:
    """A generator that gives the same for the same words and numbers."""
    return random.Random(" ".join(map(str, kind)))


def sample_and_all(quick: int, every: int) -> pytest.MarkDecorator:
    """`numbers`: the first ones for `make test`, the rest for `make test-slow`."""
    rest = pytest.param(range(quick, every), id="all", marks=pytest.mark.slow)
    return pytest.mark.parametrize("numbers", [pytest.param(range(quick), id="sample"), rest])


# Spoiling.


def bent(rng: random.Random, content: bytes) -> bytes:
    """Bytes cut off, changed, doubled, left out or put in; now and then as they were."""
    content = bytearray(content)
    for _ in range(rng.choice((0, 1, 1, 1, 2, 8))):
        at, length = rng.randrange(len(content) + 1), rng.choice((1, 1, 4, 100))
        kind = rng.randrange(6)
        if kind == 0:
            del content[at:]
        elif kind == 1:
            del content[at : at + length]
        elif kind == 2:
            content[at : at + length] = rng.randbytes(len(content[at : at + length]))
        elif kind == 3:
            content[at : at + length] = bytes([rng.choice((0, 255))]) * len(content[at : at + length])
        elif kind == 4:
            content[at:at] = rng.randbytes(length)
        elif at < len(content):
            content[at] ^= 1 << rng.randrange(8)
    return bytes(content)


def changed(rng: random.Random, tree: object, odd: Iterable = ODD) -> object:
    """A copy of a tree of dictionaries and lists, of which some places hold something else."""
    tree = copy.deepcopy(tree)
    for _ in range(rng.choice((1, 1, 2, 5))):
        places = [place for place in _places(tree) if place[1] is not None]
        if not places:
            return tree
        node, key = rng.choice(places)
        kind = rng.randrange(5)
        if kind == 0:
            del node[key]
        elif kind == 1:
            node[key] = {"x": node[key]} if rng.random() < 0.5 else [node[key]]
        elif kind == 2 and isinstance(node, dict):
            node[rng.choice(("", "x", 0, None, HUGE))] = node[key]
        else:
            node[key] = copy.deepcopy(rng.choice(tuple(odd)))
    return tree


def _places(node: object) -> Iterator[tuple]:
    items = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    for key, value in items:
        yield node, key
        yield from _places(value)


# Asking.


class _Hung(BaseException):
    pass


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    """After so many seconds Ctrl-C, and after as many again an exception; memory is bounded, too."""
    stops = [lambda: os.kill(os.getpid(), signal.SIGINT)]

    def late(signum: int, frame: object) -> None:
        if not stops:
            raise _Hung
        stops.pop()()

    used = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
    hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
    before = signal.signal(signal.SIGALRM, late)
    resource.setrlimit(resource.RLIMIT_DATA, (used + MEMORY, hard))
    signal.setitimer(signal.ITIMER_REAL, seconds, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_DATA, (hard, hard))


def wrong(
    main: Callable[[list[str]], int],
    *flags: object,
    seconds: float = SECONDS,
    stopped: bool = False,
    several: bool = False,
) -> str:
    """What is wrong with the answer of a command; nothing where it is as it should be.

    stopped: the command may have to be ended by Ctrl-C, as one that was told to work for years.
    several: it may have several faults to tell, as of several frames of a film.
    """
    out, err = io.StringIO(), io.StringIO()
    try:
        with redirect_stdout(out), redirect_stderr(err), _limited(seconds):
            code = main([str(flag) for flag in flags])
    except _Hung:
        return "hangs"
    except SystemExit as error:
        code = error.code
    except BaseException as error:
        frames = [f for f in traceback.extract_tb(error.__traceback__) if "/rws/" in f.filename] or [None]
        place = frames[-1] and f" at {Path(frames[-1].filename).name}:{frames[-1].lineno}"
        return f"{type(error).__name__}: {str(error)[:300]!r}{place or ''}"
    shown = err.getvalue()
    errors = [line for line in shown.splitlines() if line.rsplit("\r", 1)[-1].startswith("error: ")]
    if "Traceback" in shown:
        return f"a traceback: {shown[-600:]}"
    if code == 2:
        return (
            ""
            if len(errors) == 1 or (errors and several)
            else f"{len(errors)} lines of errors: {shown[-600:]!r}"
        )
    if code == 0 and errors:
        return f"code 0 with {errors}"
    return "" if code == 0 or (code == 130 and stopped) else f"code {code}: {shown[-300:]!r}"


def try_all(
    folder: Path, numbers: Iterable[int], attempt: Callable[[random.Random, Path], str], kind: str
) -> None:
    """`attempt` makes each number's input in an empty folder and says what is wrong with the answer."""
    found = []
    for number in numbers:
        place = folder / "fuzz" / str(number)
        place.mkdir(parents=True)
        if said := attempt(of_seed(kind, number), place):
            found.append(f"{kind} {number}: {said}")
        shutil.rmtree(place, ignore_errors=True)
    assert not found, "\n".join(found)
