"""The picture of one photograph looked again at, with the network as it is on the disk."""

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import STAGES, TinyNetwork
from torch import nn

from rws.data.classes import DEMO
from rws.evaluate.passes import first_windows
from rws.method.look_again import look_again
from rws.predict.inference import prepare_for_prediction
from rws.predict.ways import LookAgain
from rws.runs.model_file import Card, load_trained, save_trained
from tools.figures.again import again_figure, main

pytestmark = pytest.mark.usefixtures("tiny_family")


@pytest.fixture
def photograph(tmp_path):
    small = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
    Image.fromarray(small).resize((96, 72), Image.Resampling.BICUBIC).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def checkpoint(tmp_path):
    torch.manual_seed(3)
    network = TinyNetwork(DEMO.num_classes, aux=False)
    nn.init.normal_(network.classifier[1].weight, std=2.0)
    save_trained(tmp_path / "net.pt", network, Card("tiny", False, STAGES, DEMO, base_size=32))
    return tmp_path / "net.pt"


def test_its_panels_say_what_was_seen(photograph, checkpoint):
    network, card = load_trained(checkpoint)
    image = Image.open(photograph)
    seen = look_again(prepare_for_prediction(network, torch.device("cpu")), card, image, LookAgain(3, 3))
    figure = again_figure(image, seen, card)
    changed = (first_windows(seen, 0).label() != seen.label()).mean()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == [
        "unsure: bright; windows",
        "one pass",
        "3 passes",
        f"changed: {100 * changed:.1f} % of the pixels",
    ]
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2"]
    places = [(text.get_position()[0] - 4, text.get_position()[1] - 4) for text in figure.axes[0].texts]
    assert places == [(x, y) for y, x, _, _ in seen.boxes_yxhw.tolist()]


def test_the_command_writes_it_and_says_what_is_wrong_in_one_line(photograph, checkpoint, tmp_path, capsys):
    out = tmp_path / "again.jpg"
    assert main([str(photograph), "--model", str(checkpoint), "--out", str(out)]) == 0
    with Image.open(out) as picture:
        assert picture.format == "JPEG"
    assert main([str(tmp_path / "none.png"), "--model", str(checkpoint), "--out", str(out)]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert said.count("\n") == 1
