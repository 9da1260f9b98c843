"""What comes with the code is found by name, from any directory, in a checkout and where it is installed."""

from pathlib import Path

import pytest
from tiny import REPOSITORY

from rws import share
from rws.cli import parse
from rws.compare.plan import read_experiment
from rws.data.sets.voc2012 import class_list
from rws.errors import UserError
from rws.share import find_config, known_configs, shipped

EXPERIMENT = """
name: mine
base: {base}
seeds: [0]
settings: {{cycles.budget: within}}
arms: {{plain: {{}}}}
"""


@pytest.fixture(autouse=True)
def elsewhere(tmp_path, monkeypatch) -> Path:
    """Each test runs in an empty directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def installed(tmp_path, monkeypatch) -> Path:
    """A package as a wheel leaves it: the copies lie in it, and no checkout is around it."""
    package = tmp_path / "site-packages" / "rws" / "share"
    (package / "configs").mkdir(parents=True)
    (package / "configs" / "alone.yaml").write_text("seed: 7\n")
    (tmp_path / "site-packages" / "configs").mkdir()
    monkeypatch.setattr(share, "_HERE", package)
    return package


def test_every_configuration_has_a_name():
    files = sorted((REPOSITORY / "configs").glob("*.yaml"))
    assert known_configs() == {path.stem: path for path in files}
    assert {"demo", "camvid_light", "voc2012_resnet50"} <= known_configs().keys()


def test_a_name_and_a_path_give_the_same_configuration():
    named = parse(["--config", "camvid_light"])
    assert named.config == parse(["--config", str(REPOSITORY / "configs" / "camvid_light.yaml")]).config
    assert (named.source, named.config.data.name) == ("camvid_light", "camvid")


def test_a_configuration_may_have_a_named_base(elsewhere):
    (elsewhere / "mine.yaml").write_text("base: camvid_light\nseed: 9\n")
    config = parse(["--config", "mine.yaml"]).config
    assert (config.seed, config.name, config.data.name) == (9, "camvid_light", "camvid")


def test_a_file_takes_a_name_from_none(elsewhere):
    """What a name means does not depend on the directory; the path of such a file has a slash."""
    (elsewhere / "demo").write_text("seed: 9\n")
    assert find_config("demo") == REPOSITORY / "configs" / "demo.yaml"
    assert parse(["--config", "./demo"]).config.seed == 9


@pytest.mark.parametrize(
    ("given", "nearest"), [("camvidlight", "camvid_light"), ("configs/demo_cycle.yaml", "demo_cycles")]
)
def test_an_unknown_name_comes_with_the_nearest_and_all_others(given, nearest):
    with pytest.raises(UserError) as error:
        find_config(given)
    said = f"{given}: no such configuration; the nearest known one is {nearest}; there are: "
    assert str(error.value) == said + ", ".join(known_configs())


def test_what_is_installed_comes_before_what_lies_around_it(installed):
    assert shipped("configs") == installed / "configs"
    assert parse(["--config", "alone"]).config.seed == 7
    assert shipped("absent") == installed.parents[1] / "absent"


def test_class_lists_are_found_from_any_directory(elsewhere):
    lines = (REPOSITORY / "FWM_datalist_20Class" / "cat" / "val_cat_list.txt").read_text().split()
    assert class_list("FWM_datalist_20Class", "val", "cat") == lines
    own = elsewhere / "FWM_datalist_20Class" / "cat"
    own.mkdir(parents=True)
    (own / "val_cat_list.txt").write_text("mine\n")
    assert class_list("FWM_datalist_20Class", "val", "cat") == ["mine"]


def test_an_experiment_names_its_base_and_what_it_is_like(elsewhere):
    (elsewhere / "one.yaml").write_text(EXPERIMENT.format(base="demo"))
    (elsewhere / "two.yaml").write_text("like: one\nseeds: [3]\n")
    two = read_experiment("two")
    assert (two.base, two.seeds, two.name) == ("demo", [3], "mine")
    (elsewhere / "three.yaml").write_text(EXPERIMENT.format(base="sub/own.yaml"))
    assert read_experiment(elsewhere / "three.yaml").base == str(elsewhere / "sub" / "own.yaml")


def test_an_experiment_of_the_checkout_has_a_name():
    assert read_experiment("smoke") == read_experiment(REPOSITORY / "experiments" / "smoke.yaml")
    with pytest.raises(UserError, match="smokee: no such experiment; the nearest known one is smoke; there"):
        read_experiment("smokee")
