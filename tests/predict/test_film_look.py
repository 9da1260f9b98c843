"""RWS in films: which frame chooses a frame's windows, and how many each gets."""

import numpy as np
import pytest
import torch
from films import demo_frames, encode, opencv_frames, tiny_checkpoint
from PIL import Image
from test_look_again import CARD, Counting, photo
from tiny import load_script

from rws.method.look_again import look_again
from rws.predict.film_look import FilmLook
from rws.predict.ways import LookAgain

LOOK = LookAgain(3, 3)  # three passes for each frame


@pytest.fixture
def network() -> Counting:
    return Counting().eval()


def panned(count: int, size: tuple[int, int] = (60, 80)) -> list[Image.Image]:
    """A view of `size` = (height, width) that wanders over a photograph."""
    height, width = size
    whole = photo(height, width + 4 * count)
    return [whole.crop((4 * n, 0, 4 * n + width, height)) for n in range(count)]


def batches(network: Counting, frames: list[Image.Image], options: LookAgain = LOOK) -> list[list[int]]:
    """How many images the network sees at once, frame by frame."""
    look, found = FilmLook(options), []
    for frame in frames:
        network.seen.clear()
        look(network, CARD, frame)
        found.append([shape[0] for shape in network.seen])
    return found


def test_a_map_of_the_frame_before_chooses_and_all_is_one_batch(network):
    before = torch.zeros(32, 42)
    before[-8:, :8] = 1
    found = look_again(network, CARD, photo(60, 80), LookAgain(2), before=before)
    assert network.seen == [(2, 3, 32, 42)]
    [(y, x, h, _)] = found.boxes_yxhw.tolist()
    assert (y + h, x) == (60, 0)
    assert found.unsure.argmax() == look_again(network, CARD, photo(60, 80), LookAgain(1)).unsure.argmax()


def test_windows_by_a_frames_own_map_are_seen_as_those_that_it_chooses_itself(network):
    own = look_again(network, CARD, photo(60, 80), LookAgain(3))
    found = look_again(network, CARD, photo(60, 80), LookAgain(3), before=own.unsure)
    assert torch.equal(found.boxes_yxhw, own.boxes_yxhw)
    torch.testing.assert_close(found.probabilities(), own.probabilities())


def test_each_frame_chooses_for_the_next(network):
    look, frames = FilmLook(LOOK), panned(3)
    first, second, third = (look(network, CARD, frame) for frame in frames)
    assert torch.equal(first.boxes_yxhw, look_again(network, CARD, frames[0], LOOK).boxes_yxhw)
    for frame, found, before in ((frames[1], second, first), (frames[2], third, second)):
        own = look_again(network, CARD, frame, LOOK)
        torch.testing.assert_close(found.unsure, own.unsure)
        expected = look_again(network, CARD, frame, LOOK, before=before.unsure)
        assert torch.equal(found.boxes_yxhw, expected.boxes_yxhw)
    assert batches(network, frames) == [[1, 2], [3], [3]]


def test_a_scene_and_a_size_begin_with_a_frame_that_chooses_for_itself(network):
    dark, light = Image.new("RGB", (80, 60), (40, 30, 20)), Image.new("RGB", (80, 60), (190, 200, 180))
    assert batches(network, [dark, dark, light, light, dark]) == [[1, 2], [3], [1, 2], [3], [1, 2]]
    upright = [frame.resize((60, 80)) for frame in panned(2)]
    assert batches(network, [*panned(2), *upright]) == [[1, 2], [3], [1, 2], [3]]


def test_other_choices_are_of_the_frame_itself(network):
    assert batches(network, panned(2), LookAgain(3, 3, choose="random")) == [[1, 2], [1, 2]]


def test_a_film_in_two_parts_is_the_same_but_for_the_first_frame_of_the_second(network):
    def labels(frames):
        look = FilmLook(LOOK)
        return [look(network, CARD, frame).label() for frame in frames]

    frames = panned(6)
    whole, parts = labels(frames), [labels(frames[:3]), labels(frames[3:])]
    for number, (one, other) in enumerate(zip(whole, parts[0] + parts[1], strict=True)):
        assert number == 3 or np.array_equal(one, other), f"frame {number}"
    assert np.array_equal(parts[1][0], look_again(network, CARD, frames[3], LOOK).label())


@pytest.mark.parametrize("passes", [2, 2.5, 3])
def test_the_passes_of_a_film_are_shared_out_among_its_frames(network, passes):
    look = FilmLook(LookAgain(passes))
    taken = [look(network, CARD, frame).passes for frame in panned(12)]
    assert all(sum(taken[:n]) <= passes * n for n in range(1, 13))
    assert sum(taken) >= passes * 12 - 3


@pytest.mark.usefixtures("tiny_family")
def test_a_film_is_made_the_same_again_and_beside_others(tmp_path):
    """What was looked at before, of this film or another, leaves nothing behind."""
    checkpoint, frames = tiny_checkpoint(tmp_path / "last.pt"), demo_frames(tmp_path, 8)
    encode(tmp_path / "a.mp4", frames)
    encode(tmp_path / "b.mp4", [*frames[::-1], *frames])
    flags = ["--checkpoint", str(checkpoint), "--ways", "rws", "--passes", "2.5"]
    both = [str(tmp_path / name) for name in ("a.mp4", "b.mp4")]
    for out, films in (("both", both), ("one", both[1:]), ("again", both[1:])):
        assert load_script("predict").main([*films, *flags, "--output", str(tmp_path / out)]) == 0
    made = [opencv_frames(tmp_path / out / "b.mp4") for out in ("both", "one", "again")]
    assert len(made[0]) == 16
    assert np.array_equal(made[0], made[1])
    assert np.array_equal(made[1], made[2])


@pytest.mark.usefixtures("tiny_family")
def test_a_film_of_one_frame(tmp_path):
    checkpoint = tiny_checkpoint(tmp_path / "last.pt")
    source = encode(tmp_path / "a.mp4", demo_frames(tmp_path, 1))
    flags = ["--checkpoint", str(checkpoint), "--ways", "rws", "--output", str(tmp_path / "out.mp4")]
    assert load_script("predict").main([str(source), *flags]) == 0
    assert len(opencv_frames(tmp_path / "out.mp4")) == 1
