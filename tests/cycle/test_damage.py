"""One wrong bit anywhere in a run's folder: resumed, it ends with the same numbers, or in one line."""

import json
import random
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tiny import demo_set, same_tensors, tiny_config

from rws.config import Config
from rws.cycle.artifacts import Artifacts
from rws.cycle.loop import Run
from rws.cycle.recovery import latest_sound_state
from rws.cycle.setup import prepare
from rws.errors import UserError
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.runs.identity import stored_configuration
from rws.runs.log import log_lines
from rws.runs.seals import KEY
from rws.training.training import Training

# Written and never read back, or written anew by each command.
NOT_READ = {"tensorboard", "summary.json", "env.json"}


pytestmark = pytest.mark.usefixtures("tiny_runs")


def results(folder: Path) -> dict:
    """All that a run leaves for others, apart from seconds."""
    summary = json.loads((folder / "summary.json").read_text())
    for c in summary["cycles"]:
        del c["seconds"]
    run = Artifacts(folder)
    return {
        "summary": summary,
        "last": checkpoint.load(run.last),
        "best": checkpoint.load(run.best),
        "boxes": [run.boxes(k) for k in run.cycles()[-2:]],
    }


def differing(one: dict, other: dict) -> set[str]:
    """The parts of two results that are not the same."""
    differ = {name for name in ("summary", "boxes") if one[name] != other[name]}
    for name in ("last", "best"):
        a, b = dict(one[name]), dict(other[name])
        if not same_tensors(a.pop("model"), b.pop("model")) or a != b:
            differ.add(name)
    return differ


@pytest.fixture(scope="module")
def undisturbed(tiny_runs, tmp_path_factory) -> tuple[Config, Path, dict]:
    """A run's folder in several of its states, by name below a folder; and its results."""
    place = tmp_path_factory.mktemp("states")
    config = tiny_config(demo_set(place / "set"), place / "runs", start="last")
    folder, stepped, stored = place / "runs" / config.name, Run._step, Training._store

    def step(run: Run, name: str, k: int) -> None:
        stepped(run, name, k)
        if (name, k) in (("score", 0), ("select", 1)):
            shutil.copytree(folder, place / f"{name}-{k}")

    def store(training: Training) -> None:
        stored(training)
        if (training.job.key, training.step) == ("whole-2", 3):
            shutil.copytree(folder, place / "training")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Run, "_step", step)
        patch.setattr(Training, "_store", store)
        Run(prepare(config)[0]).run()
    shutil.copytree(folder, place / "finished")
    return config, place, results(folder)


STATES = ("score-0", "select-1", "training", "finished")


def resumed(config: Config, state: Path, runs: Path, spoil: Callable[[Path], object]) -> dict | str:
    """What a state of the run comes to after it has been spoilt: its results, or the line it ends in."""
    folder = runs / config.name
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(state, folder)
    spoil(folder)
    try:
        Run(prepare(replace(config, runs=str(runs)), resume=True)[0]).run()
    except UserError as error:
        return one_line(error)
    return results(folder)


def one_line(error: UserError) -> str:
    assert "\n" not in str(error)
    return str(error)


def flip(path: Path, at: random.Random) -> None:
    content = bytearray(path.read_bytes())
    place = at.randrange(len(content))
    content[place] ^= 1 << at.randrange(8)
    path.write_bytes(content)


def flipping(name: str, at: random.Random) -> Callable[[Path], None]:
    """Puts a wrong bit into a file of a run's folder."""
    return lambda folder: flip(folder / name, at)


def files_of(state: Path) -> list[str]:
    """The files that a run may read back."""
    paths = (p.relative_to(state) for p in sorted(state.rglob("*")) if p.is_file())
    return [str(path) for path in paths if not NOT_READ & set(path.parts)]


def held(path: Path) -> object:
    """What a file holds, as a run reads it."""
    if path.suffix == ".pt":
        return checkpoint.digest_of(checkpoint.load(path))
    if path.parent.name == "bank":
        bank = Bank(path.parent)
        return {
            i: {s: list(map(repr, vars(r).values())) for s, r in bank.read(i).items()} for i in bank._images
        }
    if path.suffix == ".yaml":
        return stored_configuration(path)
    return log_lines(path) if path.suffix == ".jsonl" else checkpoint.read_json(path)


def flipped(state: Path, name: str, runs: Path, times: int) -> Iterator[bool]:
    """For one wrong bit after another in a file, whether it is told; if not, the file holds the same."""
    folder = runs / "flipped"
    shutil.copytree(state, folder)
    path, content, at = folder / name, (state / name).read_bytes(), random.Random(f"{state.name} {name}")
    sound = held(path)
    for _ in range(times):
        flip(path, at)
        try:
            found = held(path)
        except UserError as error:
            one_line(error)
            yield True
        else:
            lost = path.suffix == ".jsonl" and found[1] == 1 and all(line in sound[0] for line in found[0])
            assert found == sound or lost
            yield found != sound
        path.write_bytes(content)


def test_any_wrong_bit_is_told_or_changes_nothing_that_is_read(undisturbed, tmp_path):
    _, place, _ = undisturbed
    state = place / "training"
    for number, name in enumerate(files_of(state)):
        told = list(flipped(state, name, tmp_path / str(number), 20))
        assert len(told) == 20
        # The rest of a checkpoint is what pads it.
        assert sum(told) >= (1 if name.endswith((".pt", ".jsonl")) else 17), name


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_200_wrong_bits_in_each_file(undisturbed, tmp_path, state):
    _, place, _ = undisturbed
    told = Counter()
    for number, name in enumerate(files_of(place / state)):
        told[name] = sum(flipped(place / state, name, tmp_path / str(number), 200))
    print(f"{state}: told of 200 in each file: {dict(told)}")
    assert min(told.values()) > 0


def assert_same_or_told(found: dict | str, want: dict, said: str, name: str) -> str:
    """A finished run that has lost its best network says what takes its place; the kind of outcome."""
    if isinstance(found, str):
        assert name in ("begun.json", "config.yaml")
        return "one line"
    if differ := differing(found, want):
        assert (name, differ) == ("best.pt", {"best"})
        assert "takes its place" in said
        return "another best"
    return "the same"


# In quick tests those that tests/cycle/test_recovery.py does not damage.
@pytest.mark.parametrize("name", ["state.json", "begun.json", "config.yaml", "best.pt", "log.jsonl"])
def test_resumed_after_a_wrong_bit(undisturbed, tmp_path, capsys, name):
    config, place, want = undisturbed
    at = random.Random(name)
    found = resumed(config, place / "training", tmp_path, flipping(name, at))
    outcome = assert_same_or_told(found, want, capsys.readouterr().out, name)
    assert outcome == ("one line" if name in ("begun.json", "config.yaml") else "the same")


@pytest.mark.slow
@pytest.mark.parametrize("state", STATES)
def test_resumed_after_five_wrong_bits_in_each_file(undisturbed, tmp_path, capsys, state):
    config, place, want = undisturbed
    for name in files_of(place / state):
        at = random.Random(f"{state} {name}")
        for _ in range(5):
            found = resumed(config, place / state, tmp_path, flipping(name, at))
            assert_same_or_told(found, want, capsys.readouterr().out, name)


# Valid JSON of another shape, as a run of an older version, without checksums, could hold it.


def numbers_as_text(value: object) -> object:
    if isinstance(value, dict):
        return {key: numbers_as_text(each) for key, each in value.items()}
    return [numbers_as_text(each) for each in value] if isinstance(value, list) else str(value)


SHAPES: dict[str, Callable[[dict], str]] = {
    "a list": lambda content: json.dumps([content]),
    "null": lambda content: "null",
    "a number": lambda content: "7",
    "nothing within": lambda content: "{}",
    "lists in place of values": lambda content: json.dumps({key: [[]] for key in content}),
    "numbers as text": lambda content: json.dumps(numbers_as_text(content)),
    "NaN": lambda content: json.dumps(dict.fromkeys(content, float("nan"))),
    "too large": lambda content: json.dumps(dict.fromkeys(content, 7)).replace("7", "1e999"),
    "too deep": lambda content: "[" * 100_000,
    "no text": lambda content: "\udcff\udcfe",
    "empty": lambda content: "",
}


@pytest.mark.parametrize("shape", SHAPES)
def test_json_of_another_shape_sends_it_back(undisturbed, tmp_path, shape):
    """state.json, slices.json and both of the bank: none ends in a traceback, none is taken."""
    _, place, _ = undisturbed
    for name in ("state.json", "cycles/1/slices.json", "cycles/1/bank/index.json", "cycles/1/bank/0.json"):
        folder = tmp_path / name.replace("/", "-")
        shutil.copytree(place / "training", folder)
        spoilt = SHAPES[shape](checkpoint.read_json(folder / name))
        (folder / name).write_bytes(spoilt.encode(errors="surrogateescape"))
        state, wrong = latest_sound_state(Artifacts(folder))
        if (shape, name) == ("nothing within", "cycles/1/slices.json"):
            continue  # no image has a slice: a list that may be
        assert wrong, name
        assert str(folder / name) in wrong[0] or str(folder / name.rpartition("/")[0]) in wrong[0]
        expected = {"state.json": "whole", "cycles/1/slices.json": "score"}.get(name, "select")
        assert (state.step, state.cycle) == (expected, 2 if expected == "whole" else 1)


def test_a_finished_run_whose_state_is_damaged_is_mended_by_resuming(undisturbed, tmp_path):
    config, place, want = undisturbed
    state = tmp_path / config.name / "state.json"
    found = resumed(
        config, place / "finished", tmp_path, lambda folder: (folder / "state.json").write_text("{")
    )
    assert not differing(found, want)
    assert Artifacts(state.parent).read_state().stopped


def test_a_run_of_an_older_version_goes_on_with_a_word(undisturbed, tmp_path, capsys):
    """Without checksums in its JSON, and without begun.json."""
    config, place, want = undisturbed

    def without_checksums(folder: Path) -> None:
        for path in (*folder.rglob("*.json"), folder / "config.yaml"):
            text = path.read_text()
            if path.suffix == ".json":
                text = json.dumps({k: v for k, v in json.loads(text).items() if k != KEY}, indent=1)
            path.write_text(text.partition("\n")[2] if path.suffix == ".yaml" else text)
        (folder / "begun.json").unlink()

    found = resumed(config, place / "training", tmp_path, without_checksums)
    assert differing(found, want) == set()
    said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("warning: ")]
    assert len(said) == 2
    assert "begun.json: missing, as in runs of older versions" in said[0]
    assert "state.json: of an older version, without a checksum" in said[1]
    assert (tmp_path / config.name / "begun.json").is_file()
    assert checkpoint.has_checksum(tmp_path / config.name / "state.json")
