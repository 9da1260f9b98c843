"""RWS at test time: how many windows are taken, what the network sees of them, and what comes out."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from tiny import STAGES, TinyNetwork
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.config.look_again import SMALLEST_SIDE
from rws.core.cam import seg_grad_cam
from rws.core.labels import resized_scores
from rws.core.windows import STEP, classes_of_both, on_grid, uncertainty
from rws.data.classes import DEMO
from rws.errors import UserError
from rws.method import look_again as look_again_module
from rws.method.look_again import PassBudget, SeenAgain, look_again, look_at_images
from rws.predict.inference import network_input, predict_label
from rws.predict.options import parse
from rws.predict.predictor import Predictor
from rws.predict.ways import LookAgain, PredictOptions, Windows
from rws.runs.model_file import Card

CARD = Card("lraspp_mobilenet_v3_large", False, STAGES, DEMO, base_size=32)
# Without a background the whole image has no say in what a window shows, and may be seen enlarged itself.
WITHOUT = replace(CARD, classes=replace(DEMO, background=None))


def photo(height: int, width: int, seed: int = 0) -> Image.Image:
    small = np.random.default_rng(seed).integers(0, 256, (6, 8, 3), np.uint8)
    return Image.fromarray(small).resize((width, height), Image.Resampling.BICUBIC)


class Counting(nn.Module):
    """A trained-looking network that notes the batches that it sees."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(3)
        self.inner = TinyNetwork(DEMO.num_classes, aux=False)
        nn.init.normal_(self.inner.classifier[1].weight, std=2.0)
        self.inner.eval()
        self.seen: list[tuple[int, ...]] = []

    def forward(self, x):
        self.seen.append(tuple(x.shape))
        return self.inner(x)


@pytest.fixture
def network() -> Counting:
    return Counting().eval()


@pytest.mark.parametrize("passes", [2, 3, 5])
def test_the_windows_go_through_in_one_batch_and_count_as_passes(network, passes):
    found = look_again(network, CARD, photo(60, 80), LookAgain(passes))
    assert network.seen == [(1, 3, 32, 42), (passes - 1, 3, 32, 42)]
    assert found.passes == passes
    assert found.slices.shape == (passes - 1, DEMO.num_classes, 32, 42)


def seen(whole: torch.Tensor, part: torch.Tensor) -> SeenAgain:
    """One window that holds the whole image, of whose edges none fades."""
    size = tuple(whole.shape[-2:])
    return SeenAgain(whole, part, torch.tensor([[0, 0, *size]]), size, uncertainty(whole[0]), size)


@pytest.mark.parametrize(
    ("whole", "expected"),
    [
        ([0.5, 0.5], [0.1, 0.9]),  # knows nothing: the window alone
        ([1.0, 0.0], [1.0, 0.0]),  # is sure: itself alone
        # An entropy of 0.881 bits, of at most 1: 0.3 + 0.881 * (0.9 - 0.3) of the second class.
        ([0.7, 0.3], [0.171, 0.829]),
    ],
)
def test_a_window_is_believed_as_far_as_the_whole_is_unsure(whole, expected):
    whole = torch.tensor(whole)[None, :, None, None].expand(1, 2, 6, 8)
    part = torch.tensor([0.1, 0.9])[None, :, None, None].expand(1, 2, 6, 8)

    found = seen(whole, part).probabilities()

    wanted = torch.tensor(expected)[:, None, None].expand(2, 6, 8)
    torch.testing.assert_close(found, wanted, atol=5e-4, rtol=0)


def test_one_pass_is_the_plain_prediction(network):
    image = photo(60, 80)
    found = look_again(network, CARD, image, LookAgain(1))
    assert found.passes == 1
    plain = predict_label(network, CARD, image)  # of resized logits; the other of resized probabilities
    assert (found.label() == plain).mean() > 0.97
    assert np.array_equal(found.label(), found.probabilities().argmax(0).numpy())


def test_what_is_seen_are_parts_of_the_image_and_what_no_window_holds_is_the_plain_prediction(network):
    image = photo(64, 84)
    found = look_again(network, WITHOUT, image, LookAgain(2, sides=(0.5,)))
    [(y, x, h, w)] = found.boxes_yxhw.tolist()
    assert (h, w) == (32, 42)
    alone = look_again(network, CARD, image.crop((x, y, x + w, y + h)), LookAgain(1)).whole
    torch.testing.assert_close(found.slices, alone)
    plain = look_again(network, CARD, image, LookAgain(1)).probabilities()
    mine = found.probabilities()
    outside = torch.ones(64, 84, dtype=torch.bool)
    outside[y : y + h, x : x + w] = False
    assert torch.equal(mine[:, outside], plain[:, outside])
    assert (mine[:, ~outside] - plain[:, ~outside]).abs().max() > 0.01


def test_the_label_is_the_argmax_of_the_probabilities_also_class_by_class(network, monkeypatch):
    found = look_again(network, CARD, photo(60, 80), LookAgain(4))
    expected = found.probabilities().argmax(0).numpy()
    assert np.array_equal(found.label(), expected)
    monkeypatch.setattr("rws.core.labels.VALUES_AT_ONCE", 1)
    assert np.array_equal(found.label(), expected)


def test_of_a_large_photograph_what_is_put_in_place_is_as_fine_as_the_windows_saw_it(network):
    found = look_again(network, CARD, photo(480, 640), LookAgain(3))
    assert found.places_yxhw[:, 2:].tolist() == [[32, 42], [32, 42]]
    assert found.grid == (45, 59)
    assert found.boxes_yxhw[0, 2:].tolist() == [341, 456]
    assert np.array_equal(found.label(), found.probabilities().argmax(0).numpy())
    assert found.label().shape == (480, 640)


def test_what_was_seen_stays_as_it_was_whatever_is_made_of_it(network):
    """Also where nothing is enlarged: a photograph no larger than the network's input."""
    for size in ((32, 40), (480, 640)):
        found = look_again(network, CARD, photo(*size), LookAgain(3))
        whole = found.whole.clone()
        first = found.probabilities()
        assert len(found.slices)
        assert torch.equal(found.whole, whole)
        assert torch.equal(found.probabilities(), first)


def test_the_windows_lie_over_what_the_choice_says(network):
    def corner(whole):
        unsure = torch.zeros(whole.shape[-2:])
        unsure[-8:, :8] = 1
        return unsure

    found = look_again(network, CARD, photo(60, 80), LookAgain(2), choice=corner)
    [(y, x, h, _)] = found.boxes_yxhw.tolist()
    assert y + h >= 59
    assert x == 0


def test_windows_by_attention_lie_over_what_the_last_stage_misses_and_each_backward_pass_counts(network):
    image = photo(60, 80)
    found = look_again(network.inner, CARD, image, LookAgain(3, choose="attention"))
    images = network_input(CARD, image)
    with torch.no_grad():
        own = network.inner(images)["out"].argmax(1)
    held = sorted(set(own.unique().tolist()) - {DEMO.background})
    stages = dict(zip(STAGES, map(network.inner.get_submodule, STAGES)))
    maps = seg_grad_cam(network.inner, stages, images, own, held).maps[0]
    torch.testing.assert_close(found.unsure, maps.amax(0) - maps[-1])
    assert found.unsure.max() > 0
    assert found.passes == 3
    assert found.units == 3 + len(held)
    assert held


def test_random_windows_are_the_same_each_time_and_others_in_another_image(network):
    look = LookAgain(4, choose="random")
    images = [photo(60, 80), photo(60, 80), photo(60, 80, seed=1)]
    boxes = [look_again(network, CARD, image, look).boxes_yxhw.tolist() for image in images]
    assert boxes[0] == boxes[1] != boxes[2]
    assert len({tuple(box) for box in boxes[0]}) == 3
    budget = PassBudget(LookAgain(2.5, choose="random"))
    passes = [
        look_again(network, CARD, photo(60, 80, k), LookAgain(2.5, choose="random"), budget).passes
        for k in range(4)
    ]
    assert passes == [2, 3, 2, 3]


def test_the_whole_image_has_a_say_in_the_class_of_objects_and_none_in_where_they_are(network):
    found = look_again(network, CARD, photo(60, 80), LookAgain(3))
    alone = look_again(network, WITHOUT, photo(60, 80), LookAgain(3), choice=uncertainty)
    assert CARD.classes.background == 0
    assert torch.equal(found.slices[:, 0], alone.slices[:, 0])
    torch.testing.assert_close(found.slices.sum(1), torch.ones_like(found.slices[:, 0]))
    size = tuple(found.whole.shape[-2:])
    boxes = on_grid(found.places_yxhw, found.grid, size).tolist()
    for seen, own, (y, x, h, w) in zip(found.slices, alone.slices, boxes, strict=True):
        part = resized_scores(found.whole[..., y : y + h, x : x + w], size)[0]
        assert (seen[1:] - own[1:]).abs().max() > 0.01
        torch.testing.assert_close(seen[None], classes_of_both(own[None], part[None], 0))


# Without a background.


def test_a_scene_is_seen_enlarged_as_a_whole_for_as_many_passes_and_both_views_count_half(network):
    image = photo(120, 160)
    found = look_again(network, WITHOUT, image, LookAgain(3))
    assert network.seen == [(1, 3, 32, 42), (1, 3, 45, 59)]  # 1.41 times the sides
    assert found.passes == pytest.approx(1 + 45 * 59 / (32 * 42))
    assert found.boxes_yxhw.tolist() == [[0, 0, 120, 160]]
    large = TF.resize(tv_tensors.Image(TF.pil_to_tensor(image)), [45, 59], antialias=True)
    with torch.no_grad():
        alone = network(WITHOUT.at_own_size()(large).as_subclass(torch.Tensor)[None])["out"].softmax(1)
    torch.testing.assert_close(found.slices, alone)
    expected = (resized_scores(found.whole, (45, 59)) + alone) / 2
    torch.testing.assert_close(found.probabilities(), resized_scores(expected, (120, 160))[0])


def test_a_scene_is_enlarged_to_sides_that_the_network_takes_as_they_are(network):
    network.size_multiple = 16
    found = look_again(network, WITHOUT, photo(120, 160), LookAgain(3))
    assert network.seen[1] == (1, 3, 48, 64)
    assert found.passes == pytest.approx(1 + 48 * 64 / (32 * 42))


def test_every_scene_gets_as_many_passes():
    """Whatever it holds; one pass more than the whole is a window, as the whole twice would show nothing."""
    options = LookAgain(2.5)
    budget = PassBudget(options)
    network = Counting().eval()
    images = [photo(120, 160, k) for k in range(4)]
    found = [look_again(network, WITHOUT, image, options, budget) for image in images]
    assert [round(each.passes) for each in found] == [2, 3, 2, 3]
    assert [each.slices.shape[-2:] == (45, 59) for each in found] == [False, True, False, True]


@pytest.mark.parametrize(
    ("size", "options", "choice"),
    [
        ((30, 40), LookAgain(3), None),  # no pixels for it: 1.41 times the input's sides is a blur
        ((120, 160), LookAgain(3, choose="random"), None),
        ((120, 160), LookAgain(3, sides=(0.7,)), None),
        ((120, 160), LookAgain(3), uncertainty),
        ((120, 160), LookAgain(2), None),
    ],
)
def test_windows_stay_where_enlarging_shows_no_more_and_where_they_are_compared(
    network, size, options, choice
):
    found = look_again(network, WITHOUT, photo(*size), options, choice=choice)
    count = int(options.passes) - 1
    assert found.passes == 1 + count
    assert len(found.places_yxhw) == count
    assert found.slices.shape[-2:] == found.whole.shape[-2:]


def test_in_a_film_a_scene_is_seen_as_a_photograph_is(network):
    image = photo(120, 160)
    alone = look_again(network, WITHOUT, image, LookAgain(3))
    after = look_again(network, WITHOUT, image, LookAgain(3), before=alone.unsure)
    assert torch.equal(after.probabilities(), alone.probabilities())
    assert torch.equal(after.unsure, alone.unsure)


def test_a_network_of_bare_logits_without_stages_is_taken():
    torch.manual_seed(0)
    bare = nn.Conv2d(3, DEMO.num_classes, 3, padding=1).eval()
    card = Card("a.transformer:net", False, (), DEMO, base_size=32)
    object.__setattr__(card, "network", CARD.network)  # for its normalisation alone
    assert look_again(bare, card, photo(40, 50), LookAgain(3)).label().shape == (40, 50)


# How many windows an image gets.


def test_each_image_gets_as_many_where_all_are_alike():
    budget = PassBudget(LookAgain(3))
    assert [budget.take([0.3, 0.2, 0.1, 0.05, 0.02]) for _ in range(5)] == [2] * 5


def test_images_of_which_more_is_unsure_get_more():
    """Mean of 3 passes: by then as many windows are taken as the average allows, and never more before."""
    budget, counts = PassBudget(LookAgain(3, most=6)), []
    for k in range(40):
        counts.append(budget.take([0.5, 0.4, 0.3, 0.2, 0.1] if k % 2 else [0.05, 0.01, 0.01, 0.01, 0.01]))
        assert sum(counts) <= 2 * (k + 1)
    assert set(counts[9::2]) <= {3, 4}
    assert max(counts[10::2]) <= 1
    assert sum(counts) >= 2 * 40 - 4


def test_no_image_gets_more_than_the_most():
    budget = PassBudget(LookAgain(3, most=4))
    counts = [budget.take([v, v, v, v, v]) for v in (0.1, 0.1, 0.1, 0.9, 0.9)]
    assert max(counts) <= 3


def test_a_fraction_of_a_pass_comes_out_over_the_images():
    budget = PassBudget(LookAgain(1.5))
    assert sum(budget.take([0.2, 0.1]) for _ in range(20)) == 10


def test_of_very_many_images_the_last_ones_are_compared(monkeypatch):
    monkeypatch.setattr(look_again_module, "REMEMBERED", 4)
    budget = PassBudget(LookAgain(2))
    for _ in range(10):
        budget.take([0.9, 0.8])
    counts = [budget.take([worth, 0.01]) for worth in (0.1, 0.2, 0.1, 0.2, 0.1, 0.2, 0.1)]
    assert sum(counts[:4]) < 4, "beside those that were worth more"
    assert counts[4:] == [1, 1, 1], "which are forgotten"
    assert len(budget._last) == 4
    assert budget._rising == sorted(worth for worths in budget._last for worth in worths)


def test_what_the_network_sees_is_not_made_twice(network, monkeypatch):
    image, look = photo(60, 80), look_at_images(LookAgain(3))
    expected = look(network, CARD, image).label()
    images = network_input(CARD, image)
    monkeypatch.setattr(look_again_module, "whole_input", None)
    predictor = Predictor("a", network, CARD, PredictOptions(look_again=LookAgain(3)), look)
    assert np.array_equal(predictor.label(image, images), expected)


# The command line.


def test_flags():
    where = ["--checkpoint", "c.pt", "--input", "i", "--output", "o"]
    assert parse([*where, "--ways", "rws"]).options.look_again == LookAgain(3.0)
    given = parse([*where, "--ways", "rws", "--passes", "2.5", "--passes-most", "4"]).options
    assert given.look_again == LookAgain(2.5, 4)
    chosen = parse([*where, "--ways", "rws", "--choose", "attention"]).options
    assert chosen.look_again == LookAgain(3.0, choose="attention")
    assert chosen.needs_stages
    assert parse([*where, "--ways", "plain"]).options == PredictOptions()
    assert parse([*where, "--tta", "flip"]).options == parse([*where, "--ways", "flip"]).options


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (["--ways", "rws", "--passes", "0"], "--passes 0: must be 1 to 26"),
        (["--ways", "rws", "--passes", "nan"], "--passes nan: must be"),
        (["--ways", "rws", "--passes", "4", "--passes-most", "3"], "--passes-most 3: must be at least"),
        (["--passes", "4"], "--passes 4 is of --ways rws"),
        (["--ways", "flip", "--passes-most", "4"], "--passes-most 4 is of --ways rws"),
        (["--ways", "flip", "--choose", "random"], "--choose random is of --ways rws"),
        (["--ways", "rws", "--slide", "64"], "--ways rws and --slide"),
    ],
)
def test_wrong_flags(flags, said):
    with pytest.raises(UserError, match=said):
        parse(["--checkpoint", "c.pt", "--input", "i", "--output", "o", *flags])


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"choose": "chance"}, "must be one of uncertainty, attention, random"),
        ({"most": 4.5}, "most 4.5: must be at least --passes 3, and a whole number"),
        ({"most": float("nan")}, "most nan: must be at least"),
        ({"sides": ()}, r"sides \(\): must be one or several"),
        ({"sides": (0.7, 1.2)}, r"sides \(0.7, 1.2\): must be one or several, from 0.125 to below 1"),
        ({"sides": (0.1,)}, "sides"),
    ],
)
def test_what_cannot_be_is_told(options, said):
    with pytest.raises(UserError, match=said):
        LookAgain(**options)
    assert SMALLEST_SIDE == STEP


@pytest.mark.parametrize("other", [{"windows": Windows(64, 32)}, {"tta": "quarters"}])
def test_windows_and_augmentations_are_not_looked_at_again(other):
    with pytest.raises(UserError, match="--ways rws and --"):
        PredictOptions(**other, look_again=LookAgain())
