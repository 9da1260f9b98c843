"""The blend itself, and that n and f land where augmentation has moved the image's pixels."""

from functools import partial

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from torchvision import tv_tensors
from torchvision.transforms import v2

from rws.core.fusion import (
    Blend,
    batch_blends,
    fused,
    identity_coordinates,
    sample_blend,
    shrink_coordinates,
    unfused,
)
from rws.core.stages import find_stages
from rws.data.transforms import CoordinateMap, Geometry, Normalisation, train_transform

OWN = -500.0  # what the stage itself puts out: no coordinate is near it


# --- the formula


def random_blend(n=2, channels=8, size=(8, 10), seed=0):
    generator = torch.Generator().manual_seed(seed)
    share = torch.rand(n, 1, *size, generator=generator)
    f = torch.randn(n, channels, *size, generator=generator)
    return share, f, Blend(share, (1 - share) * f)


def test_the_stage_puts_out_n_F_plus_1_minus_n_f(small):
    small.eval()
    x = torch.randn(2, 3, 16, 20)
    n, f, blend = random_blend()
    own = small.backbone[:2](x)
    with torch.no_grad(), fused(find_stages(small, ["backbone.1"]), {"backbone.1": blend}):
        found = small(x)["out"]
    expected_stage = n * own + (1 - n) * f
    expected = F.interpolate(small.classifier(small.backbone[2:](expected_stage)), (16, 20), mode="bilinear")
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert not torch.allclose(found, small(x)["out"])


def test_n_of_1_changes_no_bit(small):
    small.eval()
    x = torch.randn(2, 3, 16, 16)
    expected = small(x)
    stages = find_stages(small, ["backbone.0", "backbone.2"])
    blends = {
        "backbone.0": batch_blends([unfused(6, (16, 16))] * 2),
        "backbone.2": batch_blends([unfused(10, (4, 4))] * 2),
    }
    with fused(stages, blends):
        found = small(x)
    assert all(torch.equal(found[k], expected[k]) for k in expected)


def test_the_networks_state_is_untouched_and_hooks_go(small):
    keys = list(small.state_dict())
    stages, (_, _, blend) = find_stages(small, ["backbone.1"]), random_blend()
    with fused(stages, {"backbone.1": blend}):
        assert list(small.state_dict()) == keys
        assert len(small.backbone[1]._forward_hooks) == 1
    assert all(not m._forward_hooks for m in small.modules())
    with pytest.raises(ArithmeticError), fused(stages, {"backbone.1": blend}):
        raise ArithmeticError
    assert all(not m._forward_hooks for m in small.modules())


def test_a_blend_of_another_shape_is_refused_with_both_shapes(small):
    _, _, blend = random_blend(size=(7, 10))
    with (
        pytest.raises(ValueError, match=r"'backbone.1'.*\(2, 8, 8, 10\).*\(2, 8, 7, 10\)"),
        fused(find_stages(small, ["backbone.1"]), {"backbone.1": blend}),
    ):
        small.eval()(torch.randn(2, 3, 16, 20))
    assert all(not m._forward_hooks for m in small.modules())


def test_gradient_of_the_own_feature_is_multiplied_by_n_and_f_is_a_constant():
    stage = nn.Identity()
    n, _, blend = random_blend()
    own = torch.randn(2, 8, 8, 10, requires_grad=True)
    weight = torch.randn(2, 8, 8, 10)
    blend.added.requires_grad_()
    with fused({"": stage}, {"": blend}):
        (stage(own) * weight).sum().backward()
    torch.testing.assert_close(own.grad, weight * n)
    assert blend.added.grad is None


def test_a_blend_follows_the_precision_of_the_stage():
    stage, (_, _, blend) = nn.Identity(), random_blend()
    with fused({"": stage}, {"": blend}):
        assert stage(torch.zeros(2, 8, 8, 10, dtype=torch.bfloat16)).dtype == torch.bfloat16


def test_a_batch_of_blends_keeps_the_order_of_its_images():
    blends = [Blend(torch.full((1, 1, 2, 2), k / 3), torch.full((1, 4, 2, 2), float(k))) for k in range(3)]
    batch = batch_blends(blends)
    assert batch.n[:, 0, 0, 0].tolist() == pytest.approx([0, 1 / 3, 2 / 3])
    assert batch.added[:, 0, 0, 0].tolist() == [0, 1, 2]


def test_identity_coordinates_are_those_of_grid_sample():
    where = identity_coordinates(7, 11)
    image = torch.randn(1, 2, 7, 11)
    moved = F.grid_sample(image, where[:2].permute(1, 2, 0)[None], mode="bilinear", align_corners=False)
    torch.testing.assert_close(moved, image, rtol=0, atol=1e-5)
    assert (where[2] == 1).all()


def some_rows(grid=(6, 9), channels=3, dtype=torch.float32, seed=1):
    generator = torch.Generator().manual_seed(seed)
    cells = torch.randperm(grid[0] * grid[1], generator=generator)[:20].sort().values
    n, f = torch.rand(20, generator=generator), torch.randn(20, channels, generator=generator)
    return cells, n.to(dtype), f.to(dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16])
def test_without_augmentation_the_blend_is_the_rows(dtype):
    cells, n, f = some_rows(dtype=dtype)
    blend = sample_blend((cells, n, f), (6, 9), identity_coordinates(6, 9))
    share, added = torch.ones(54), torch.zeros(3, 54)
    share[cells], added[:, cells] = n.float(), ((1 - n.float())[:, None] * f.float()).T
    torch.testing.assert_close(blend.n.flatten(), share, rtol=0, atol=1e-5)
    torch.testing.assert_close(blend.added.flatten(2)[0], added, rtol=0, atol=1e-5)


def test_between_fused_and_unfused_cells_the_unknown_f_takes_no_part():
    cells, n, f = torch.tensor([0, 1]), torch.tensor([0.0, 0.5]), torch.tensor([[8.0], [8.0]])
    blend = sample_blend((cells, n, f), (1, 4), identity_coordinates(1, 8))
    share = 1 - blend.n.flatten()
    assert ((share >= 0) & (share <= 1)).all()
    fusing = share > 0
    torch.testing.assert_close((blend.added.flatten() / share)[fusing], torch.full((int(fusing.sum()),), 8.0))
    assert share[3:5].tolist() == pytest.approx([0.375, 0.125])
    assert share[5:].tolist() == [0, 0, 0]


# --- alignment


def push(transform, height, width, seed):
    """An image of its own pixel coordinates (x, y, 1), and its coordinate map, through one augmentation."""
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    image = tv_tensors.Image(torch.stack([x, y, torch.ones_like(x)]).float())
    label = tv_tensors.Mask(torch.zeros(height, width, dtype=torch.uint8))
    torch.manual_seed(seed)
    moved, _, where = transform(image, label, CoordinateMap(identity_coordinates(height, width)))
    assert type(where) is CoordinateMap
    assert where.dtype == torch.float32
    assert where.shape == moved.shape
    return moved.as_subclass(torch.Tensor), where.as_subclass(torch.Tensor)


def fuse_coordinates(where, height, width, size):
    """What a stage of `size` puts out when f is, on the image's own grid, its coordinates and n is 0."""
    cells = torch.arange(height * width)
    f = torch.stack([cells % width, cells // width], 1).float()
    rows = cells, torch.zeros(height * width), f
    blend = sample_blend(rows, (height, width), shrink_coordinates(where, size))
    stage = nn.Identity()
    with fused({"stage": stage}, {"stage": blend}):
        return stage(torch.full((1, 2, *size), OWN))[0], blend.n[0, 0]


def eroded(mask, beyond):
    """The mask without its outermost pixel; `beyond` is the mask's value outside the frame."""
    unmasked = F.pad((~mask).float(), (1, 1, 1, 1), value=float(not beyond))
    return F.max_pool2d(unmasked[None], 3, 1)[0] == 0


def everywhere(mask, size):
    """Cells of a stage of `size` under whose centre the mask is true throughout."""
    return F.interpolate(mask.float()[None, None], size, mode="bilinear")[0, 0] > 1 - 1e-3


def check_alignment(transform, height=40, width=56, seed=0, coarser=4, tolerance=1.0, warped=False):
    """At every position that comes from the image the fused stage shows, within `tolerance` pixels of the
    image, the coordinates that the augmented image shows there; in padding it shows its own output.

    Between image and padding both answers are right for one pixel: a warp that takes the nearest pixel of
    the image ends half a pixel later than the interpolated map, also where the border lies on the frame.
    """
    moved, where = push(transform, height, width, seed)
    full = tuple(moved.shape[-2:])
    inside, outside = (moved[2] - 1).abs() < 1e-3, moved[2].abs() < 1e-3
    assert inside.any()
    for size in (full, tuple(max(1, side // coarser) for side in full)):
        found, n = fuse_coordinates(where, height, width, size)
        fusing = n < 0.5
        assert fusing[everywhere(eroded(inside, not warped), size)].all(), (
            "a position of the image is not fused"
        )
        assert (n[everywhere(eroded(outside, True), size)] == 1).all(), "padding is fused"
        assert (found[:, n == 1] == OWN).all(), "the network's own output is changed in padding"
        shown = shrink_coordinates(moved, size)[:2]
        error = (found - shown).abs()[:, fusing & everywhere(inside, size)]
        assert error.max() <= tolerance, f"wrong by {error.max():.2f} pixels at {size}"


CROP = (36, 44)
TRANSFORMS = {
    "identity": v2.Identity(),
    "hflip": v2.RandomHorizontalFlip(1),
    "vflip": v2.RandomVerticalFlip(1),
    "crop": v2.RandomCrop((24, 32)),
    "crop with padding": v2.RandomCrop((24, 32), padding=8),
    "crop of a small image": v2.RandomCrop((64, 72), pad_if_needed=True, fill=7),
    "centre crop": v2.CenterCrop((20, 28)),
    "centre crop of a small image": v2.CenterCrop((56, 64)),
    "pad": v2.Pad([3, 5, 7, 9]),
    "pad with grey": v2.Pad([3, 5, 7, 9], fill=128),
    "pad by reflection": v2.Pad([8, 4, 12, 6], padding_mode="reflect"),
    "pad with the edge": v2.Pad(6, padding_mode="edge"),
    "resize up": v2.Resize((97, 120), antialias=True),
    "resize down": v2.Resize((21, 30), antialias=True),
    "resize down without antialias": v2.Resize((21, 30), antialias=False),
    "resize to nearest": v2.Resize((61, 70), interpolation=v2.InterpolationMode.NEAREST),
    "resized crop": v2.RandomResizedCrop(CROP, antialias=True),
    "shortest size": v2.RandomShortestSize([28, 36, 60], antialias=True),
    "scale jitter": v2.ScaleJitter(CROP, scale_range=(0.5, 2), antialias=True),
    "zoom out": v2.RandomZoomOut(p=1.0, fill=5),
    "affine": v2.RandomAffine(25, translate=(0.2, 0.2), scale=(0.7, 1.3), shear=10),
    "affine filled": v2.RandomAffine(25, fill=0.5, interpolation=v2.InterpolationMode.BILINEAR),
    "rotation": v2.RandomRotation((20, 60), expand=True),
    "rotation without expansion": v2.RandomRotation(40),
    "perspective": v2.RandomPerspective(0.4, p=1.0),
    "elastic": v2.ElasticTransform(30.0, 4.0),
    "several": v2.Compose(
        [
            v2.RandomResizedCrop((50, 50), antialias=True),
            v2.RandomRotation(20),
            v2.RandomHorizontalFlip(1),
            v2.RandomCrop((60, 40), pad_if_needed=True),
        ]
    ),
}


WARPS = (
    "affine",
    "affine filled",
    "rotation",
    "rotation without expansion",
    "perspective",
    "elastic",
    "several",
)
# Pixels of the image. The nearest pixel of the image is up to half a pixel off (a whole one where torchvision
# takes the pixel's corner for it), and antialiasing averages less of it at its border.
NEAREST = {"resize to nearest": 1.0, "affine": 0.55, "rotation": 0.55, "rotation without expansion": 0.55}
ANTIALIASED = {"resize down": 0.4, "shortest size": 0.4, "scale jitter": 0.4, "resized crop": 0.4}
TOLERANCES = {**NEAREST, **ANTIALIASED, "several": 0.9}


@pytest.mark.parametrize("name", TRANSFORMS)
def test_fault_3_n_and_f_move_with_the_image(name):
    tolerance = TOLERANCES.get(name, 0.05)
    for seed in range(4):
        check_alignment(TRANSFORMS[name], seed=seed, tolerance=tolerance, warped=name in WARPS)


@pytest.mark.parametrize("crop", [CROP, (64, 32), (32, 80)])
def test_fault_3_n_and_f_move_with_the_image_in_our_own_training(crop):
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    transform = train_transform(Geometry(40, crop), plain, ignore_index=255)
    for seed in range(8):
        check_alignment(transform, seed=seed)


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=st.tuples(st.integers(32, 700), st.integers(32, 700)),
    base=st.integers(32, 300),
    crop=st.tuples(st.integers(32, 256), st.integers(32, 256)),
    seed=st.integers(0, 10**6),
)
def test_n_and_f_move_with_any_image_in_any_of_our_augmentations(size, base, crop, seed):
    plain = Normalisation((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
    transform = train_transform(Geometry(base, crop), plain, ignore_index=255)
    # Reduced k times, an antialiased pixel is the mean of some 2 k, of fewer at the border.
    reduced = max(1.0, min(size) / (0.5 * base))
    check_alignment(transform, *size, seed=seed, tolerance=0.6 * reduced + 0.1)


def unmoved(transform):
    """A transform that moves the image and forgets the coordinate map, cut or padded to the image's size."""

    def apply(image, label, where):
        moved, label = transform(image, label)
        h, w = moved.shape[-2:]
        out = torch.zeros(3, h, w)
        out[:, : where.shape[1], : where.shape[2]] = where[:, :h, :w]
        return moved, label, CoordinateMap(out)

    return apply


def shifted(image, label, where, by=2):
    return image, label, CoordinateMap(torch.roll(where.as_subclass(torch.Tensor), by, -1))


def fused_in_padding(image, label, where):
    pad = partial(v2.functional.pad, padding=[8, 8, 8, 8])
    where = v2.functional.pad(where, [8, 8, 8, 8], padding_mode="edge")
    return pad(image), pad(label), where


BROKEN = {
    "hflip": unmoved(v2.RandomHorizontalFlip(1)),
    "vflip": unmoved(v2.RandomVerticalFlip(1)),
    "crop": unmoved(v2.RandomCrop((24, 32))),
    "pad": unmoved(v2.Pad(6)),
    "resize": unmoved(v2.Resize((60, 84), antialias=True)),
    "rotation": unmoved(v2.RandomRotation((20, 30))),
    "shift": shifted,
    "padding": fused_in_padding,
}


@pytest.mark.parametrize("name", BROKEN)
def test_the_check_itself_fails_when_coordinates_do_not_move_with_the_image(name):
    with pytest.raises(AssertionError, match=r"pixels at|not fused|padding"):
        check_alignment(BROKEN[name])


@pytest.mark.parametrize(
    "transform",
    [
        v2.ColorJitter(0.5, 0.5, 0.5, 0.3),
        v2.GaussianBlur(5),
        v2.Normalize((0.5, 0.4, 0.3), (0.2, 0.2, 0.2)),
        v2.RandomGrayscale(1),
        v2.RandomInvert(1),
        v2.RandomSolarize(0.5, 1),
        v2.RandomAutocontrast(1),
        v2.GaussianNoise(),
        v2.ToDtype(torch.float32, scale=True),
    ],
    ids=lambda t: type(t).__name__,
)
def test_colour_transforms_leave_the_coordinates_alone(transform):
    image, where = torch.rand(3, 12, 16), identity_coordinates(12, 16)
    torch.manual_seed(0)
    _, moved = transform(tv_tensors.Image(image), CoordinateMap(where.clone()))
    assert type(moved) is CoordinateMap
    assert torch.equal(moved.as_subclass(torch.Tensor), where)


@pytest.mark.parametrize(
    "transform",
    [
        v2.Pad(6, fill=1),
        v2.RandomCrop((60, 70), pad_if_needed=True, fill=1.0),
        v2.RandomZoomOut(p=1, fill=1.0),
    ],
)
def test_padding_is_outside_whatever_fills_it(transform):
    where = CoordinateMap(identity_coordinates(40, 56))
    assert (transform(where)[2] == 1).sum() == 40 * 56


def test_nothing_is_copied_between_host_and_device_while_blending(monkeypatch, small):
    """Neither a value read back nor a tensor made of the host's numbers: a GPU would wait for both."""
    where = shrink_coordinates(identity_coordinates(32, 40), (8, 10))
    rows = torch.tensor([0, 7, 33]), torch.tensor([0.1, 0.5, 0.0]), torch.randn(3, 6)
    copies = []
    for owner, names in (
        (torch.Tensor, ("item", "tolist", "nonzero", "cpu", "numpy", "__bool__", "__int__", "__float__")),
        (torch, ("tensor", "as_tensor", "from_numpy", "nonzero")),
    ):
        for name in names:
            true = getattr(owner, name)
            monkeypatch.setattr(
                owner, name, lambda *a, _true=true, _name=name, **k: (copies.append(_name), _true(*a, **k))[1]
            )
    blend = batch_blends([sample_blend(rows, (8, 10), where), sample_blend(rows, (8, 10), where)])
    stage = torch.nn.Conv2d(3, 6, 3, 4, 1)
    with fused({"stage": stage}, {"stage": blend}):
        stage(torch.randn(2, 3, 32, 40))
    assert copies == []
    torch.ones(1).item()
    assert copies == ["item"], "the watch works"
