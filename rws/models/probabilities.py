"""Tells whether a network ends in probabilities, where the loss and the heat maps need logits."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

from rws.models.same_size import in_eval

TOLERANCE = 1e-3


@torch.no_grad()
def ends_in(network: nn.Module, logits_of: Callable[[object], Tensor], size: tuple[int, int]) -> str | None:
    """What a network seems to end in (softmax, log_softmax or sigmoid) and how one sees it; None for logits.

    It is seen in the outputs for noise, weak and a hundred times as strong: logits would leave the range.
    """
    noise = torch.randn(1, 3, *size, generator=torch.Generator().manual_seed(0))
    with in_eval(network):
        outputs = torch.cat([logits_of(network(strength * noise)).float() for strength in (1, 100)])
    if outputs.shape[1] < 2 or not outputs.isfinite().all():
        return None
    if outputs.max() <= 0 and outputs.logsumexp(1).abs().max() < TOLERANCE:
        return "log_softmax: their exponentials sum to 1 over the classes"
    if outputs.min() < 0 or outputs.max() > 1:
        return None
    if (outputs.sum(1) - 1).abs().max() < TOLERANCE:
        return "softmax: they lie in [0, 1] and sum to 1 over the classes"
    varies = (outputs[0].amax((1, 2)) > outputs[0].amin((1, 2))).any()
    inside = outputs[0].min() > 0 and outputs[0].max() < 1
    return "sigmoid: they lie in [0, 1]" if varies and inside else None
