"""Each augmentation: the original, looked up at the coordinates that went along, is the augmented image."""

import math

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms import v2

from rws.core.fusion import identity_coordinates
from rws.data import transforms
from rws.data.transforms import CoordinateMap, Geometry, Normalisation, colour_changes, train_transform

PLAIN = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
AUGMENT = ("none", "light", "strong")
# Grey levels in 0..1: the image rises by up to 0.06 a pixel, so this is a misfit of a quarter of a pixel.
TOLERANCE = 0.015


def waves(height: int, width: int) -> Tensor:
    """A smooth image in which no two neighbourhoods look alike.

    Shape: (3, height, width) uint8.
    """
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    turns = torch.stack([x / 43 + y / 97, y / 47 - x / 103, (x + y) / 59]) * 2 * math.pi
    return (127.5 + 100 * torch.sin(turns)).round().to(torch.uint8)


def augmented(transform: v2.Transform, size: tuple[int, int], seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """The image of waves, a label of threes, and where each pixel of the result came from."""
    label = tv_tensors.Mask(torch.full(size, 3, dtype=torch.uint8))
    torch.manual_seed(seed)
    moved = transform(tv_tensors.Image(waves(*size)), label, CoordinateMap(identity_coordinates(*size)))
    return tuple(each.as_subclass(Tensor) for each in moved)


def well_within(mask: Tensor, rim: int = 3) -> Tensor:
    """The mask without its outermost pixels, those at the frame included."""
    return -F.max_pool2d(F.pad(-mask.float()[None], [rim] * 4), 2 * rim + 1, 1)[0] > 0.5


def check(transform: v2.Transform, size: tuple[int, int], seed: int) -> None:
    image, label, where = augmented(transform, size, seed)
    looked_up = F.grid_sample(
        waves(*size)[None].float() / 255,
        where[:2].permute(1, 2, 0)[None],
        padding_mode="border",
        align_corners=False,
    )[0]
    inside, outside = (where[2] - 1).abs() < 1e-3, where[2].abs() < 1e-3
    error = (image.float() - looked_up).abs().amax(0)[well_within(inside)]
    assert not len(error) or error.max() < TOLERANCE
    assert (label[well_within(inside, 1)] == 3).all()
    assert (label[well_within(outside, 1)] == 255).all(), "nothing came from there"
    assert set(label.unique().tolist()) <= {3, 255}


@pytest.fixture
def in_one_colour(monkeypatch):
    """Colours and sharpness as they are, so that pixels can be told by them."""
    monkeypatch.setattr(transforms, "colour_changes", list)


SIZES = st.tuples(st.integers(90, 200), st.integers(90, 200))
GIVEN = settings(max_examples=40, deadline=None, derandomize=True)


@pytest.mark.parametrize("augment", AUGMENT)
def test_the_coordinates_say_where_every_pixel_came_from(in_one_colour, augment):
    @GIVEN
    @given(size=SIZES, base=st.integers(80, 200), crop=SIZES, seed=st.integers(0, 10**6))
    def holds(size, base, crop, seed):
        # Not reduced by much: an antialiased pixel is the mean of several.
        geometry = Geometry(max(base, min(size)), crop, scale=(0.9, 1.6), augment=augment)
        check(train_transform(geometry, PLAIN, 255), size, seed)

    holds()


WARPS = transforms._warps(Geometry(96, (96, 96), augment="strong"), transforms.fills(PLAIN, 255))


@pytest.mark.parametrize("warp", [WARPS[0].transforms[0], WARPS[1]], ids=["rotation", "perspective"])
@GIVEN
@given(size=SIZES, seed=st.integers(0, 10**6))
def test_each_warp_moves_image_label_and_coordinates_alike(warp, size, seed):
    warp.p = 1.0
    check(v2.Compose([warp, *transforms.finish(PLAIN)]), size, seed)


@pytest.mark.parametrize("change", colour_changes(), ids=["colour", "blur"])
@GIVEN
@given(size=SIZES, seed=st.integers(0, 10**6))
def test_colours_and_blur_move_nothing(change, size, seed):
    change.p = 1.0
    _, label, where = augmented(change, size, seed)
    assert torch.equal(where, identity_coordinates(*size))
    assert (label == 3).all()


def test_a_transform_that_forgets_the_coordinates_is_found_out():
    def forgets(image, label, where):
        return (*v2.RandomHorizontalFlip(1)(v2.ToDtype(torch.float32, scale=True)(image), label), where)

    with pytest.raises(AssertionError):
        check(forgets, (96, 120), 0)


def test_none_is_the_whole_image_where_the_crop_holds_it():
    """It is neither flipped nor enlarged."""
    image, label, _ = augmented(
        train_transform(Geometry(96, (96, 120), augment="none"), PLAIN, 255), (96, 120), 5
    )
    torch.testing.assert_close(image, waves(96, 120) / 255)
    assert (label == 3).all()


def test_light_is_the_transform_of_before_bit_for_bit():
    """Old configurations say nothing of `augment`."""
    geometry, normalisation = Geometry(60, (48, 64)), Normalisation((0.4, 0.5, 0.6), (0.2, 0.3, 0.2))
    fill = {tv_tensors.Image: [102, 128, 153], tv_tensors.Mask: 255, CoordinateMap: 0.0}
    before = v2.Compose(
        [
            v2.RandomShortestSize(list(range(30, 121)), antialias=True),
            v2.RandomHorizontalFlip(0.5),
            v2.RandomCrop((48, 64), pad_if_needed=True, fill=fill),
            *transforms.finish(normalisation),
        ]
    )
    for seed in range(6):
        now = augmented(train_transform(geometry, normalisation, 255), (70, 90), seed)
        assert all(map(torch.equal, now, augmented(before, (70, 90), seed)))


def test_strong_turns_most_crops_and_recolours_most():
    strong = train_transform(Geometry(96, (96, 96), (1.0, 1.0), 0.0, "strong"), PLAIN, 255)
    turned = recoloured = 0
    for seed in range(80):
        image, _, where = augmented(strong, (96, 96), seed)
        moved = not torch.equal(where, identity_coordinates(96, 96))
        turned += moved
        recoloured += not moved and not torch.allclose(image, waves(96, 96) / 255)
    assert 0.5 < turned / 80 < 0.8, "1 - 0.5 * 0.7 of them"
    assert recoloured / (80 - turned) > 0.65, "1 - 0.2 * 0.8 of them"
