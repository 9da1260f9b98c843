"""Recipes: one word for several options, below what is given beside it and above the base."""

import pytest

from rws.cli import parse
from rws.config import OPTIONS, Config
from rws.config.recipes import RECIPES
from rws.errors import UserError


def test_paper_is_the_method_as_published_whatever_the_file_says():
    config = parse(["--config", "camvid_light", "--recipe", "paper"]).config
    published = Config()
    for part in ("slices", "bank", "fusion", "cycles"):
        assert getattr(config, part) == getattr(published, part)
    assert (config.train.slice_epochs, config.train.slice_mix) == (1.0, 0.0)
    assert config.train.epochs == 6  # of the file: no part of the method


def test_plain_is_an_ordinary_training_without_another_network_beside_it():
    config = parse(["--config", "camvid_light", "--recipe", "plain"]).config
    assert config.fusion.enabled is False
    assert config.cycles.limit == 0
    assert config.cycles.plain is False
    assert config.train.slice_mix == 0


def test_options_that_are_given_beside_a_recipe_win(tmp_path):
    config = parse(["--config", "camvid_light", "--recipe", "plain", "--cycles.limit", "2"]).config
    assert (config.cycles.limit, config.fusion.enabled) == (2, False)
    file = tmp_path / "mine.yaml"
    file.write_text("base: camvid_light\nrecipe: plain\ncycles: {limit: 3}\n")
    config = parse(["--config", str(file)]).config
    assert (config.cycles.limit, config.fusion.enabled) == (3, False)
    assert parse(["--config", str(file), "--recipe", "paper"]).config.cycles.limit == 10


def test_recipes_name_options_that_there_are():
    for options in RECIPES.values():
        assert set(options) <= set(OPTIONS)


@pytest.mark.parametrize("flags", [["--recipe", "v9"], ["--recipe"], ["--recipe", "paper", "plain"]])
def test_another_recipe_is_one_line(flags):
    with pytest.raises(UserError, match="recipe"):
        parse(flags)


@pytest.mark.parametrize("text", ["recipe: [paper]", "recipe: 1", "recipe: null", "recipe: {paper: 1}"])
def test_another_recipe_in_a_file_is_one_line_that_names_it(tmp_path, text):
    file = tmp_path / "mine.yaml"
    file.write_text(f"{text}\n")
    with pytest.raises(UserError, match=r"mine\.yaml.*recipe"):
        parse(["--config", str(file)])
