"""Sample predictions for the loggers."""

import numpy as np
import pytest
from tiny import demo_set, tiny_config

from rws.cycle.setup import prepare
from rws.look import samples as module
from rws.runs.network import make_network

pytestmark = pytest.mark.usefixtures("tiny_runs")


def test_a_row_is_photograph_label_and_prediction(tmp_path):
    setup, _ = prepare(tiny_config(demo_set(tmp_path / "set"), tmp_path, limit=1))
    network, _ = make_network(setup.config, setup.card.classes.num_classes, setup.device)
    sheet = module.samples(network.eval(), setup, count=2)
    photo = setup.val.image(setup.val.ids[0])
    width = round(photo.width * module.HEIGHT / photo.height)
    assert sheet.size == (3 * width, 2 * module.HEIGHT)
    first = np.asarray(sheet)[: module.HEIGHT]
    assert np.array_equal(first[:, :width], np.asarray(photo.resize((width, module.HEIGHT))))
    assert not np.array_equal(first[:, width : 2 * width], first[:, :width]), "the label is drawn in"


def test_every_logger_gets_the_samples_of_each_evaluation(tmp_path):
    from rws.cycle.loop import Run

    told = []

    class Listener:
        def scores(self, values, images):
            told.extend(values)

        def picture(self, name, picture, images):
            told.append((name, images))

        def end(self, results):
            told.append(sorted(results))

    config = tiny_config(demo_set(tmp_path / "set"), tmp_path, limit=1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rws.cycle.loop.open_loggers", lambda *_: [Listener()])
        Run(prepare(config)[0], (module.Samples(),)).run()
    pictures = [each for each in told if isinstance(each, tuple)]
    assert {name for name, _ in pictures} == {"rws/samples", "plain/samples"}
    assert {"rws/miou", "plain/loss", "cycle/weak_slices"} <= {each for each in told if isinstance(each, str)}
    assert any(each.startswith("rws/iou/") for each in told if isinstance(each, str))
    assert told[-1] == ["final/plain_miou", "final/rws_miou"]
