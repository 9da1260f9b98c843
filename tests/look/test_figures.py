"""The pictures of the README: made from a tiny run, with what they say; every one is used and has a maker."""

import re

import pytest
from matplotlib.text import Text
from PIL import Image
from tiny import REPOSITORY, demo_set, tiny_config

from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from tools.figures import animation
from tools.figures.__main__ import PICTURES, main
from tools.figures.before_after import before_after_figure
from tools.figures.convergence import convergence_figure
from tools.figures.flow import flow_figure, take_steps
from tools.figures.source import most_fused, open_run

pytestmark = pytest.mark.usefixtures("tiny_runs")

PIXELS_WIDE = {"flow.png": 1660, "stages.png": 1600, "stages_before_after.png": 1660, "convergence.png": 1660}


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A tiny run of one cycle under both names."""
    folder = tmp_path_factory.mktemp("figures")
    setup, _ = prepare(tiny_config(demo_set(folder / "demo"), folder / "runs", limit=1))
    Run(setup).run()
    (folder / "runs" / "run").rename(folder / "runs" / "demo")
    (folder / "runs" / "demo_cycles").symlink_to("demo")
    return folder / "runs"


@pytest.fixture(scope="module")
def source(runs):
    return open_run(runs / "demo")


def words(figure) -> str:
    return "\n".join(t.get_text() for t in figure.findobj(Text))


def test_every_picture_is_made_small_and_the_same_each_time(runs, tmp_path, capsys):
    twice = ("flow.png", "predictions.gif")
    assert main(["--runs", str(runs), "--out", str(tmp_path / "one")]) == 0
    assert main(["--runs", str(runs), "--out", str(tmp_path / "two"), "--only", *twice]) == 0
    printed = capsys.readouterr().out
    assert {p.name for p in (tmp_path / "one").iterdir()} == set(PICTURES)
    for name in PICTURES:
        path = tmp_path / "one" / name
        if name in twice:
            assert path.read_bytes() == (tmp_path / "two" / name).read_bytes(), name
        picture = Image.open(path)
        assert picture.width == PIXELS_WIDE.get(name, 830)
        assert len(picture.convert("RGB").getcolors(2**24)) > 20, f"{name} is more than white"
        assert f"{path}: " in printed
    assert Image.open(tmp_path / "one" / "predictions.gif").n_frames == 2, "a frame an image of the list"


def test_flow_names_its_five_steps_and_counts_what_was_selected(source):
    steps = take_steps(source)
    text = words(flow_figure(steps))
    for name in ("Look", "Find", "Train", "Select", "Fuse", f"{len(steps.weak)} of {steps.windows} windows"):
        assert name in text
    rows = source.bank().read(most_fused(source))
    assert sum((n < 1).sum() for n in steps.best.n) > 0
    assert set(rows) <= set(steps.stages)


def test_before_and_after_shows_the_means_of_the_run(source):
    text = words(before_after_figure(source))
    for cycle in source.state["cycles"]:
        for mean in cycle["missing_weight"].values():
            assert f"{mean:.2f}".lstrip("0") in text
    assert "$A$ before" in text
    assert "$w$ after" in text


def test_convergence_shows_the_runs_numbers_and_its_stop(source):
    text = words(convergence_figure(source))
    weak = [c["weak_slices"] for c in source.state["cycles"]]
    assert all(f"{number:,}" in text for number in weak)
    assert f"{abs(weak[1] - weak[0]):,}" in text
    assert f"stopped: {source.state['stopped']}" in text
    assert "delta = 0" in text


def test_frames_give_both_scores_as_the_run_has_them(source, monkeypatch):
    figures = []
    monkeypatch.setattr(animation, "rendered", figures.append)
    animation.prediction_frames(source)
    last = source.state["cycles"][-1]
    scores = f"plain {last['plain'][-1]['miou']:.1f}, RWS {last['whole'][-1]['miou']:.1f}"
    assert len(figures) == 2
    assert all(scores in words(figure) for figure in figures)


def test_a_missing_or_unfinished_run_is_one_line(runs, tmp_path, capsys):
    assert main(["--runs", str(tmp_path)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1
    assert "make figures" in line
    unfinished = tmp_path / "demo"
    unfinished.mkdir()
    (unfinished / "state.json").write_text('{"stopped": null, "cycles": []}')
    assert main(["--runs", str(tmp_path), "--only", "flow.png"]) == 2
    assert "--resume" in capsys.readouterr().err


# Pictures that are made from no run on the demo set, and the page that says how.
ELSEWHERE = {"units.png": "docs/results.md", "cat.jpg": "docs/look.md", "again.jpg": "docs/predict.md"}


def test_every_picture_of_the_repository_is_used_and_made():
    texts = [REPOSITORY / "README.md", *(REPOSITORY / "docs").glob("*.md")]
    used = set(re.findall(r"Figs/([\w.]+)", "\n".join(path.read_text() for path in texts)))
    there = {path.name for path in (REPOSITORY / "Figs").iterdir()}
    assert there == {*PICTURES, *ELSEWHERE} == used
    assert all(name in (REPOSITORY / page).read_text() for name, page in ELSEWHERE.items())
    assert "python -m tools.figures" in (REPOSITORY / "Makefile").read_text()
    for name in there:
        size = (REPOSITORY / "Figs" / name).stat().st_size
        assert size < (2e6 if name.endswith(".gif") else 4e5), name
