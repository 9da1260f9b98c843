"""Step 5, fuse: F_l <- n_l F_l + (1 - n_l) f_l in the forward pass, through hooks on any network."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rws.core.sampling import bilinear_taps

_TINY = 1e-6


@dataclass(frozen=True)
class Blend:
    """What is blended into one stage for a batch.

    n: (N, 1, H_l, W_l) share of the batch's own features.
    added: (N, C_l, H_l, W_l) the slices' part, (1 - n) f.
    """

    n: Tensor
    added: Tensor


@dataclass(frozen=True)
class FusionMode:
    """How a blend enters a forward pass; the defaults are the published form.

    normalise: the slices' features take the mean and deviation of the batch's own (`match_statistics`).
    strength: factor on the slices' share 1 - n.
    target: nothing is blended; a loss, `cosine_distance`, draws the batch's own features to the slices'.
    """

    normalise: bool = False
    strength: float = 1.0
    target: bool = False


@contextmanager
def fused(
    stages: dict[str, nn.Module], blends: dict[str, Blend], mode: FusionMode | None = None
) -> Iterator[list[Tensor]]:
    """Forward passes inside the block put out n F + (1 - n) f at the stages that have a blend.

    The network's code and state_dict do not change; the hooks are gone when the block ends, also by an
    exception. The blended features are constants: no gradient flows into them. The block is given a list; the
    mode `target` puts its losses, one a stage, into it.

    Raises: ValueError in the forward pass when a blend does not have the shape of the stage's output.
    Source: METHOD step 5.
    """
    mode = mode or FusionMode()
    losses: list[Tensor] = []

    def blending(name: str, blend: Blend):
        def hook(module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
            if blend.added.shape != output.shape:
                raise ValueError(
                    f"stage {name!r} puts out {tuple(output.shape)}, its blend is {tuple(blend.added.shape)}"
                )
            if mode.target:
                losses.append(cosine_distance(output, blend) / len(blends))
                return None
            if not mode.strength:
                return None
            part = match_statistics(blend, output) if mode.normalise else blend
            part = weakened(part, mode.strength) if mode.strength < 1 else part
            return torch.addcmul(part.added.detach().to(output.dtype), output, part.n.to(output.dtype))

        return hook

    handles = [stages[name].register_forward_hook(blending(name, b)) for name, b in blends.items()]
    try:
        yield losses
    finally:
        for handle in handles:
            handle.remove()


def identity_coordinates(height: int, width: int) -> Tensor:
    """For each pixel where it lies in its image: x and y in [-1, 1], pixel centres, and a 1 for "inside".

    Augmented together with the image, it says for each pixel of the result where that came from. The third
    plane marks what does not come from the image (padding), whatever value fills it.

    Shape: (3, H, W) float32.
    """
    y = (torch.arange(height) * 2 + 1) / height - 1
    x = (torch.arange(width) * 2 + 1) / width - 1
    plane = torch.ones(height, width)
    return torch.stack([x[None, :] * plane, y[:, None] * plane, plane])


def sample_blend(rows: tuple[Tensor, Tensor, Tensor], grid: tuple[int, int], where: Tensor) -> Blend:
    """Move the n and f of one image to where an augmentation has moved its pixels.

    f is weighted with 1 - n before it is interpolated, so that cells that are not fused (whose f is
    unknown) take no part. Outside the image n is 1.

    Shape: rows = cells (P,) int64 flat on `grid` = (H, W), n (P,), f (P, C); where (3, h, w), augmented
    `identity_coordinates` at the stage's size -> Blend with N = 1.
    """
    cells, n, f = rows
    size = where.shape[-2:]
    x, y = (((w + 1) * (length / 2) - 0.5).flatten() for w, length in zip(where, reversed(grid)))
    taps, weights = bilinear_taps(torch.stack([y, x], 1), grid)
    row_of = torch.full((grid[0] * grid[1],), -1, device=where.device)
    row_of[cells] = torch.arange(len(cells), device=where.device)
    row = row_of[taps]  # (h w, 4)
    share = (1 - n.float())[row.clamp_min(0)] * (row >= 0)
    # Interpolated marks between image and padding belong to neither, so they count as outside.
    inside = ((where[2] - 1).abs() < 1e-3).flatten()[:, None]
    weights = weights * share * inside
    added = F.embedding_bag(row.clamp_min(0), f.float(), mode="sum", per_sample_weights=weights)
    n = 1 - weights.sum(1)
    return Blend(n.reshape(1, 1, *size), added.reshape(1, *size, -1).permute(0, 3, 1, 2))


def shrink_coordinates(where: Tensor, size: tuple[int, int]) -> Tensor:
    """Coordinates at the centres of a stage's cells.

    Shape: (3, H, W) -> (3, h, w) for `size` = (h, w).
    """
    return F.interpolate(where[None], size, mode="bilinear", align_corners=False)[0]


def unfused(channels: int, size: tuple[int, int], device: torch.device | None = None) -> Blend:
    """The blend that changes nothing: n = 1.

    Shape: N = 1, `channels` planes of `size` = (H_l, W_l).
    """
    ones = torch.ones(1, 1, *size, device=device)
    return Blend(ones, torch.zeros(1, channels, *size, device=device))


def batch_blends(blends: list[Blend]) -> Blend:
    """One blend for a batch from one for each of its images."""
    return Blend(torch.cat([b.n for b in blends]), torch.cat([b.added for b in blends]))


def weakened(blend: Blend, strength: float | Tensor) -> Blend:
    """The blend with `strength` times the slices' share 1 - n; by image for a tensor (N, 1, 1, 1)."""
    return Blend(1 - strength * (1 - blend.n), strength * blend.added)


def match_statistics(blend: Blend, own: Tensor) -> Blend:
    """The blend with the slices' features shifted and scaled to the statistics of the image's own.

    Mean and standard deviation are those of each image and channel over its fused cells, weighted by
    1 - n, for both: the features of other places would say nothing about what is expected at these.

    Shape: own (N, C_l, H_l, W_l), the stage's output; taken as a constant.
    """
    own, share = own.detach().float(), 1 - blend.n
    weight = share / share.sum((-2, -1), keepdim=True).clamp_min(_TINY)
    f = blend.added / share.clamp_min(_TINY)

    def moments(values: Tensor) -> tuple[Tensor, Tensor]:
        mean = (weight * values).sum((-2, -1), keepdim=True)
        return mean, (weight * (values - mean).square()).sum((-2, -1), keepdim=True).sqrt()

    (mean, deviation), (own_mean, own_deviation) = moments(f), moments(own)
    matched = (f - mean) * (own_deviation / deviation.clamp_min(_TINY)) + own_mean
    return Blend(blend.n, share * matched)


def cosine_distance(own: Tensor, blend: Blend) -> Tensor:
    """1 - cosine of the batch's own features and the slices' at each cell, a mean weighted by 1 - n.

    Shape: own (N, C_l, H_l, W_l), which gets the gradient -> scalar; 0 when nothing is fused.
    """
    share = (1 - blend.n)[:, 0]
    # The cosine does not ask for a length, so f need not be freed of its weight.
    distance = 1 - F.cosine_similarity(own.float(), blend.added.detach(), dim=1)
    return (share * distance).sum() / share.sum().clamp_min(_TINY)
