"""Pictures side by side: sizes, titles, legends."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rws.data.classes import DEMO, VOC2012
from rws.data.sets.coco_stuff import CLASSES_164K as STUFF
from rws.errors import UserError
from rws.look.panels import GAP, Legend, Panels, fitted, font_of, panel_size, shortened
from rws.predict.predictor import path_titles


def test_sizes():
    assert panel_size((854, 480), 2, width=None, most=3840, titled=True) == (854, 480)
    assert panel_size((3840, 2160), 2, width=None, most=3840, titled=True) == (1917, 1078)
    assert panel_size((854, 480), 2, width=1000, most=640, titled=True) == (497, 279)
    assert panel_size((64, 48), 2, width=None, most=640, titled=True) == (240, 180), "a title can be read"
    assert panel_size((64, 48), 1, width=None, most=640, titled=False) == (64, 48)
    with pytest.raises(UserError, match="--width 100: leaves 47 pixels for a picture; give at least 134"):
        panel_size((64, 48), 2, width=100, most=None, titled=True)


def test_pictures_stand_where_they_should_and_have_their_titles():
    colours = [(200, 0, 0), (0, 0, 200)]
    pictures = [Image.new("RGB", (300, 200), colour) for colour in colours]
    panels = Panels(["DeepLab v3", "RWS"], [DEMO, DEMO], (300, 200))
    whole = np.asarray(panels.drawn(pictures, [np.zeros((200, 300), int)] * 2))
    assert whole.shape == (panels.whole[1], 600 + GAP, 3)
    for colour, left in zip(colours, (0, 300 + GAP)):
        where = (whole == colour).all(-1)
        rows, columns = np.nonzero(where)
        assert (columns.min(), columns.max() - left, np.count_nonzero(where)) == (left, 299, 300 * 200)
    title = whole[: rows.min()]
    ink = np.nonzero((title < 100).all(-1).any(0))[0]
    assert abs(ink[ink < 300].mean() - 150) < 25, "a title is above the middle of its picture"
    assert abs(ink[ink > 306].mean() - 456) < 25


def test_legend_shows_every_class_in_its_colour():
    panels = Panels(["a", "b"], [DEMO, DEMO], (300, 60))
    whole = panels.drawn([Image.new("RGB", (300, 60))] * 2, [np.zeros((60, 300), int)] * 2)
    shown = {tuple(pixel) for pixel in np.asarray(whole).reshape(-1, 3).tolist()}
    assert {DEMO.palette[i] for i in DEMO.foreground} <= shown


def test_networks_of_other_classes_have_legends_of_their_own():
    cow, dog = VOC2012.binary("cow"), VOC2012.binary("dog")
    whole = Panels(["a", "b"], [cow, dog], (300, 60))
    pixels = np.asarray(whole.drawn([Image.new("RGB", (300, 60))] * 2, [None, None]))
    for kind, (first, last) in ((cow, (0, 300)), (dog, (306, 606))):
        columns = np.nonzero((pixels == kind.palette[1]).all(-1).any(0))[0]
        assert first <= columns.min() <= columns.max() < last


def test_legend_of_very_many_classes_shows_those_that_are_there():
    legend = Legend(STUFF, 600, font_of(14))
    assert not legend.all_fit
    pixels = np.asarray(legend.drawn({3, 90})).reshape(-1, 3).tolist()
    seen = {tuple(p) for p in pixels}
    assert {STUFF.palette[3], STUFF.palette[90]} <= seen
    others = {colour for i, colour in enumerate(STUFF.palette) if i not in (3, 90)}
    grey = {colour for colour in others if len(set(colour)) == 1}  # the text's edges are grey
    assert not (others - grey - {STUFF.palette[3], STUFF.palette[90]}) & seen
    everything = legend.drawn(set(range(STUFF.num_classes)))
    assert everything.size == (600, legend.height)


def test_long_titles_are_shortened_in_their_middle():
    font = font_of(14)
    assert shortened("RWS", 100, font) == "RWS"
    short = shortened("runs/voc/a_very_long_name/of/a/run/best.pt", 100, font)
    assert font.getlength(short) <= 100
    assert short.startswith("run")
    assert short.endswith(".pt")


def test_fitting():
    picture = Image.new("RGB", (100, 51), (9, 9, 9))
    assert np.asarray(fitted(picture, (50, 25))).min() == 9, "rounding leaves no border"
    tall = np.asarray(fitted(Image.new("RGB", (40, 80), (9, 9, 9)), (80, 80)))
    assert (tall[:, :19] == 0).all()
    assert (tall[:, 30:50] == 9).all()


@pytest.mark.parametrize(
    ("paths", "titles"),
    [
        (["runs/a/plain/last.pt", "runs/a/rws/last.pt"], ["plain", "rws"]),
        (["runs/a/best.pt", "runs/a/last.pt"], ["best", "last"]),
        (["runs/a/best.pt", "runs/b/c/best.pt"], ["a", "b/c"]),
        (["a.pt", "a.pt"], ["a", "a"]),
        (["runs/demo/best.pt"], ["demo"]),
    ],
)
def test_titles_are_what_the_paths_differ_in(paths, titles):
    assert path_titles([Path(path) for path in paths]) == titles
