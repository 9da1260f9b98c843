"""The benchmark harness at small sizes: what it writes, not how fast anything is."""

import json
import multiprocessing
from statistics import median

import pytest
import torch

from benchmarks import run
from benchmarks.rows import Context, Target, make_row
from benchmarks.starting import process_seconds
from benchmarks.timing import Samples, alternate

QUICK = ("cam", "refine", "bank", "step", "step-online", "load", "score-set")
KEYS = {"benchmark", "name", "ours", "peer", "ratio", "target", "unit", "sizes", "samples", "figures", "note"}
KEYS |= {"spread", "ok", "measured"}


@pytest.fixture(scope="module")
def result(tmp_path_factory):
    """What --tiny writes; only the first process that measures memory imports everything again."""
    out = tmp_path_factory.mktemp("results")
    real, first = multiprocessing.get_context, iter(["spawn"])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(multiprocessing, "get_context", lambda method: real(next(first, "fork")))
        assert run.main(["--tiny", "--repeats", "1", "--out", str(out), "--only", *QUICK]) == 0
    (path,) = out.iterdir()
    return path, json.loads(path.read_text())


def test_each_benchmark_has_its_rows_with_all_that_is_needed_to_judge_them(result):
    _, content = result
    assert set(content) == {"machine", "tiny", "rows"}
    assert content["tiny"] is True
    assert set(content["machine"]) == {"processor", "cores", "accelerator", "system"}
    assert [b for b in run.BENCHMARKS if b in {row["benchmark"] for row in content["rows"]}] == list(QUICK)
    for row in content["rows"]:
        assert set(row) == KEYS
        assert set(row["measured"]) == {"commit", "python", "versions", "threads", "load_average"}
        assert {"torch", "torchvision", "grad-cam"} <= set(row["measured"]["versions"])
        assert row["sizes"]
    names = [row["name"] for row in content["rows"]]
    assert len(set(names)) == len(names)


def test_medians_and_ratio_are_those_of_the_samples(result):
    for row in result[1]["rows"]:
        ours, peer = row["samples"]["ours"], row["samples"]["peer"]
        assert row["ours"] == median(ours)
        assert row["spread"]["ours"] == [min(ours), max(ours)]
        if not peer:
            assert row["peer"] is row["ratio"] is None
            continue
        assert row["peer"] == median(peer)
        cost = row["target"] and row["target"]["direction"] == "at most"
        expected = median(ours) / median(peer) if cost else median(peer) / median(ours)
        assert row["ratio"] == expected


def test_a_later_run_replaces_only_its_own_rows(result, capsys):
    path, before = result
    assert run.main(["--tiny", "--repeats", "2", "--out", str(path.parent), "--only", "refine"]) == 0
    after = json.loads(path.read_text())
    assert [row["name"] for row in after["rows"]] == [row["name"] for row in before["rows"]]
    others = [[row for row in c["rows"] if row["benchmark"] != "refine"] for c in (before, after)]
    assert others[0] == others[1]
    assert len(next(r for r in after["rows"] if r["name"] == "refine-25")["samples"]["ours"]) == 8
    assert "refine-36" in capsys.readouterr().out


def test_seconds_of_a_process_are_those_of_its_processor():
    idle, busy = ["-c", "pass"], ["-c", "sum(range(3 * 10**7))"]
    assert process_seconds(busy) > process_seconds(idle) > 0
    with pytest.raises(RuntimeError, match="ended with 3"):
        process_seconds(["-c", "raise SystemExit(3)"])


def test_two_things_are_timed_in_turns():
    calls = []
    samples = alternate(lambda: calls.append("A"), lambda: calls.append("B"), 3, torch.device("cpu"))
    assert "".join(calls) == "ABABABAB"
    assert len(samples.ours) == len(samples.peer) == 3
    calls.clear()
    alternate(
        lambda: calls.append("A"),
        lambda: calls.append("B"),
        2,
        torch.device("cpu"),
        warm_up=False,
        rehearse=True,
    )
    assert "".join(calls) == "AABAAB"


def test_targets():
    samples = Samples([2.0, 4.0, 2.0], [6.0])
    faster = make_row("x", samples, Target("at least", 3), {"n": 1})
    assert (faster.ratio, faster.ok) == (3.0, True)
    cost = make_row("x", samples, Target("at most", 0.3), {"n": 1})
    assert (cost.ratio, cost.ok) == (pytest.approx(1 / 3), False)
    alone = make_row("x", Samples([2.0], []), Target("at most", 2.5, "ours"), {"n": 1})
    assert (alone.ratio, alone.ok) == (None, True)
    assert make_row("x", samples, None, {}).ok is None
    assert Context(torch.device("cpu"), repeats=5).few(2) == 2


def test_an_unknown_benchmark_and_an_unfinished_run_are_refused(tmp_path, capsys):
    for argv, word in ((["--only", "speed"], "speed"), (["--run", str(tmp_path)], "summary.json")):
        with pytest.raises(SystemExit):
            run.main(argv)
        assert word in capsys.readouterr().err
