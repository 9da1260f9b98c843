"""Whether a slice is also right: how probable each network finds the true class, carried beside the features.

The probability travels as one more channel of every stage, so that it is placed, and competes, as they do.
"""

from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rws.core.cam import StageMaps
from rws.core.stages import evaluating, logits_of
from rws.runtime.device import to_network


@torch.no_grad()
def true_class_probability(network: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """Softmax probability of each pixel's own class in eval mode; 0 where the label is no class.

    Shape: images (N, 3, h, w), labels (N, H, W) -> (N, H, W).
    """
    with evaluating(network):
        logits = logits_of(network(to_network(images, network))).float()
    labels = labels.to(logits.device)
    logits = F.interpolate(logits, labels.shape[-2:], mode="bilinear", align_corners=False)
    known = (labels >= 0) & (labels < logits.shape[1])
    own = torch.where(known, labels, 0)[:, None]
    return torch.where(known, logits.softmax(1).gather(1, own)[:, 0], 0.0)


def with_probability(network: nn.Module, images: Tensor, labels: Tensor, found: StageMaps) -> StageMaps:
    """The maps with one more channel in every stage's features: the mean probability in each cell."""
    p = true_class_probability(network, images, labels)[:, None]
    features = [
        torch.cat([f, F.adaptive_avg_pool2d(p, f.shape[-2:]).to(f.device)], 1) for f in found.features
    ]
    return replace(found, features=tuple(features))


def only_correct(rows: tuple[Tensor, Tensor, Tensor], own: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of some fused cells those where the slice finds the true class more probable, without that channel.

    Shape: rows = cells (P,), n (P,), f (P, C_l + 1); own (C_l + 1, H_l, W_l) of the whole image.
    """
    cells, n, f = rows
    keep = f[:, -1] > own[-1].flatten()[cells]
    return cells[keep], n[keep], f[keep, :-1]
