"""The modes of the fusion, each against what its name promises."""

import math

import pytest
import torch
from torch import nn

from rws.core.fusion import Blend, FusionMode, cosine_distance, fused, match_statistics, weakened
from rws.data.views import TrainBatch
from rws.method.fuse import FusionSchedule, chosen_images


def a_blend(images=2, channels=3, size=(4, 5), seed=0) -> Blend:
    """A blend of which about half of the cells are not fused."""
    generator = torch.Generator().manual_seed(seed)
    n = torch.rand(images, 1, *size, generator=generator)
    n = torch.where(n < 0.5, n, 1.0)
    return Blend(n, (1 - n) * torch.randn(images, channels, *size, generator=generator))


def own_features(images=2, channels=3, size=(4, 5)) -> torch.Tensor:
    return torch.randn(images, channels, *size, generator=torch.Generator().manual_seed(9)) * 3 + 1


class OneBlend:
    """Stands for a BankFusion whose every batch is blended with the same at the one stage of a network."""

    device = torch.device("cpu")

    def __init__(self, blend: Blend, stage: nn.Module):
        self.blend, self.stages = blend, {"s": stage}

    def blends(self, batch: TrainBatch) -> dict[str, Blend]:
        return {"s": self.blend}


def output_of(mode: str, step: int, steps: int = 5, images: int = 2) -> tuple[torch.Tensor, list]:
    """What the stage of an identity network puts out at a step, and the losses."""
    stage = nn.Identity()
    schedule = FusionSchedule(OneBlend(a_blend(images), stage), mode, steps, seed=3)
    x = own_features(images)
    with schedule(TrainBatch(x, x[:, 0].long(), tuple("abcdefgh"[:images])), step) as losses:
        return stage(x), losses


def test_published_blends_every_image_at_every_step_alike():
    blend, own = a_blend(), own_features()
    for step in range(5):
        found, losses = output_of("published", step)
        assert torch.equal(found, torch.addcmul(blend.added, own, blend.n))
        assert losses == []


def test_gentle_blends_matched_features_into_half_of_the_images_ever_less():
    own = own_features(4)
    matched = match_statistics(a_blend(4), own)
    for step, strength in enumerate((1, 0.75, 0.5, 0.25, 0)):
        found, losses = output_of("gentle", step, images=4)
        chosen = chosen_images(4, 0.5, step, 3)
        assert int(chosen.sum()) == 2
        part = weakened(matched, strength)
        expected = torch.where(chosen[:, None, None, None], part.n * own + part.added, own)
        torch.testing.assert_close(found, expected)
        assert losses == []


def test_target_blends_nothing_and_gives_a_loss():
    found, losses = output_of("target", 1)
    assert torch.equal(found, own_features())
    assert losses[0].item() == pytest.approx(cosine_distance(own_features(), a_blend()).item())


def test_half_strength_is_half_of_the_share():
    blend, own = a_blend(), own_features()
    f = blend.added / (1 - blend.n).clamp_min(1e-9)
    n = 1 - 0.5 * (1 - blend.n)
    expected = n * own + (1 - n) * f
    half = weakened(blend, 0.5)
    torch.testing.assert_close(half.n * own + half.added, expected)


def test_share_takes_that_share_of_all_images():
    """3 of 8 in each batch; of batches of 2 a quarter in the mean; none and all."""
    assert [int(chosen_images(8, 0.375, step, 1).sum()) for step in range(10)] == [3] * 10
    assert sum(int(chosen_images(2, 0.25, step, 1).sum()) for step in range(40)) == 20
    assert not chosen_images(4, 0.0, 0, 1).any()
    assert chosen_images(4, 1.0, 0, 1).all()
    masks = [tuple(chosen_images(8, 0.5, step, 1).tolist()) for step in range(20)]
    assert len(set(masks)) > 10, "another choice at each step"
    assert masks == [tuple(chosen_images(8, 0.5, step, 1).tolist()) for step in range(20)]


def test_normalise_against_a_loop():
    blend, own = a_blend(), own_features()
    found = match_statistics(blend, own)
    for image in range(2):
        share = 1 - blend.n[image, 0]
        cells = [(r, c) for r in range(4) for c in range(5) if share[r, c] > 0]
        weight = [share[c].item() for c in cells]
        for channel in range(3):
            f = [(blend.added[image, channel][c] / share[c]).item() for c in cells]
            F = [own[image, channel][c].item() for c in cells]

            def moments(values, weight=weight):
                mean = sum(w * v for w, v in zip(weight, values)) / sum(weight)
                return mean, math.sqrt(sum(w * (v - mean) ** 2 for w, v in zip(weight, values)) / sum(weight))

            (m, s), (M, S) = moments(f), moments(F)
            for cell, w, v in zip(cells, weight, f):
                expected = w * ((v - m) * S / s + M)
                assert found.added[image, channel][cell].item() == pytest.approx(expected, abs=1e-4)
    assert torch.equal(found.n, blend.n)
    assert (found.added[(blend.n == 1).expand_as(found.added)] == 0).all()


def test_normalise_leaves_an_image_without_fused_cells_alone():
    n = torch.ones(1, 1, 4, 5)
    found = match_statistics(Blend(n, torch.zeros(1, 3, 4, 5)), own_features(1))
    assert (found.added == 0).all()


def test_the_loss_against_a_loop_and_where_its_gradient_goes():
    blend, own = a_blend(), own_features().requires_grad_()
    loss = cosine_distance(own, blend)
    total = weight = 0.0
    for image in range(2):
        for r in range(4):
            for c in range(5):
                share = 1 - blend.n[image, 0, r, c].item()
                f, F = blend.added[image, :, r, c], own[image, :, r, c]
                if share:
                    total += share * (1 - (f @ F / (f.norm() * F.norm())).item())
                    weight += share
    assert loss.item() == pytest.approx(total / weight, abs=1e-5)
    loss.backward()
    fused_cells = (blend.n < 1)[:, 0]
    assert (own.grad.abs().sum(1) > 0).equal(fused_cells)


def test_the_loss_of_nothing_and_of_zeros_is_no_trouble():
    own = torch.zeros(1, 3, 4, 5, requires_grad=True)
    nothing = Blend(torch.ones(1, 1, 4, 5), torch.zeros(1, 3, 4, 5))
    for blend in (nothing, a_blend(1)):
        loss = cosine_distance(own, blend)
        loss.backward()
        assert torch.isfinite(loss)
        assert torch.isfinite(own.grad).all()


def test_the_loss_is_a_mean_over_the_stages():
    stages = {"a": nn.Identity(), "b": nn.Identity()}
    blends = {"a": a_blend(seed=0), "b": a_blend(seed=1)}
    with fused(stages, blends, FusionMode(target=True)) as losses:
        for stage in stages.values():
            stage(own_features())
    expected = sum(cosine_distance(own_features(), b).item() for b in blends.values()) / 2
    assert sum(losses).item() == pytest.approx(expected)
