"""Scores of images, and the bootstrap of their differences."""

import numpy as np
import pytest

from rws.evaluate.evaluation import interval
from rws.evaluate.intervals import bootstrap
from rws.evaluate.scores import miou


def test_miou_of_images_is_that_of_their_summed_overlaps():
    """Two images, three classes; class 2 is nowhere."""
    overlaps = np.array([[[3, 0, 0], [4, 2, 0]], [[1, 5, 0], [4, 6, 0]]])
    assert miou(overlaps.sum(0)) == pytest.approx(100 * (4 / 8 + 5 / 8) / 2)


def test_a_bootstrap_of_images_that_differ_alike_has_no_width_and_of_noise_holds_0():
    def mean(total):
        return total / 40

    generator = np.random.default_rng(1)
    theirs = generator.normal(size=(2, 40))
    found = bootstrap(theirs + 3, theirs, mean)
    assert (found["mean"], found["low"], found["high"]) == pytest.approx((3, 3, 3))
    noise = bootstrap(theirs + generator.normal(size=(2, 40)), theirs, mean)
    assert noise["low"] < 0 < noise["high"]
    assert noise["low"] < noise["mean"] < noise["high"]


def test_a_draw_scores_the_sum_of_the_images_that_it_takes():
    """The interval is that of draws made one by one."""
    generator = np.random.default_rng(2)
    ours, theirs = generator.integers(1, 9, (2, 1, 12, 2, 3))
    found = bootstrap(ours, theirs, miou)
    draws, drawn = np.random.default_rng(0), []
    for _ in range(1000):
        images = draws.integers(12, size=12)
        drawn.append(miou(ours[0, images].sum(0)) - miou(theirs[0, images].sum(0)))
    assert [found["low"], found["high"]] == pytest.approx(np.quantile(drawn, [0.025, 0.975]))


def test_draws_without_a_score_are_left_out_and_none_alone_has_no_interval():
    """Of three images one counts: of the draws eight of 27 lack it."""
    overlaps = np.zeros((1, 3, 2, 2), int)
    overlaps[0, 0] = [[3, 1], [4, 2]]
    found = bootstrap(overlaps, overlaps, miou)
    assert (found["mean"], found["low"], found["high"]) == (0, 0, 0)
    nothing = bootstrap(np.zeros_like(overlaps), np.zeros_like(overlaps), miou)
    assert (nothing["low"], nothing["high"]) == (None, None)
    assert interval({"mean": 1.0, "low": None, "high": None}) == "+1.00"
