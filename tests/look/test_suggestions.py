"""What a look at a data set suggests, from counts of which the right answer is known."""

from collections import Counter

import numpy as np
import pytest

from rws.config import DataConfig
from rws.data.split_report import SplitReport
from rws.look.suggestions import FEW_IMAGES, suggestions

NAMES = ("ground", "kite", "fish")


def report(pixels=(800, 150, 50), holding=(9, 9, 9), sizes=((512, 512),)) -> SplitReport:
    return SplitReport(9, np.array(pixels), np.array(holding), sizes=Counter(sizes))


def suggested(train: SplitReport, val: SplitReport | None = None, **data) -> list[str]:
    config = DataConfig(**{"base_size": 512, "crop_size": (512, 512), **data})
    return suggestions(config, NAMES, train, val or report())


def test_a_set_without_trouble_suggests_nothing():
    assert suggested(report()) == []


@pytest.mark.parametrize(
    ("pixels", "said"), [((900, 91, 9), True), ((900, 90, 10), False), ((900, 100, 0), False)]
)
def test_class_weights_below_a_hundredth_of_the_pixels(pixels, said):
    """A class without any pixel is told as too rare, not as the rarest."""
    lines = [line for line in suggested(report(pixels)) if "class-weights" in line]
    assert bool(lines) == said
    if said:
        assert lines[0].startswith("--train.class-weights median: fish has 0.90% of the labelled pixels")


@pytest.mark.parametrize(
    ("sizes", "data", "flags"),
    [
        ([(720, 960)], {"base_size": 192, "crop_size": (192, 256)}, None),
        ([(720, 960)], {"base_size": 224, "crop_size": (224, 224)}, '--data.crop-size "[224, 288]": '),
        ([(960, 720)], {"base_size": 224, "crop_size": (224, 224)}, '--data.crop-size "[288, 224]": '),
        # Never enlarged, and never longer than twice the shorter side.
        ([(96, 130)], {}, '--data.base-size 96 --data.crop-size "[96, 128]": the median image is 96x130; '),
        ([(512, 9000)], {}, '--data.crop-size "[512, 1024]": '),
        # The median of three; ties in no way.
        ([(100, 100), (512, 512), (4000, 9000)], {}, None),
        ([(20, 20)], {}, '--data.base-size 20 --data.crop-size "[32, 32]": '),
    ],
)
def test_a_crop_that_shows_the_median_image(sizes, data, flags):
    lines = suggested(report(sizes=sizes), **data)
    assert len(lines) == (flags is not None)
    assert flags is None or lines[0].startswith(flags)


def test_classes_that_few_images_show_are_too_rare():
    few = FEW_IMAGES - 1
    (line,) = suggested(report(holding=(9, few, 0)), report(holding=(9, 9, 0)))
    assert line == (
        f"too rare to learn: kite ({few}), fish (0); a class needs {FEW_IMAGES} training images that show "
        "it: label more of it, or call its pixels ignored"
    )
    assert suggested(report(holding=(9, FEW_IMAGES, 9))) == []


def test_a_class_that_no_validation_image_shows_is_not_measured():
    assert suggested(report(), report(holding=(9, 0, 4))) == [
        "not measured: kite; no validation image shows it"
    ]


def test_many_classes_are_counted():
    names = tuple(f"c{k}" for k in range(9))
    rare = SplitReport(4, np.full(9, 100), np.full(9, 2), sizes=Counter([(512, 512)]))
    config = DataConfig(base_size=512, crop_size=(512, 512))
    (line,) = suggestions(config, names, rare, rare)
    assert "c0 (2), c1 (2), c2 (2), c3 (2), c4 (2) and 4 more; " in line
