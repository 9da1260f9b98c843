"""Batch normalisation in eval mode with a backward pass that only scales."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode


class _FixedNorm(torch.autograd.Function):
    """F.batch_norm with constant statistics and parameters: the same output, and the gradient of its input.

    torch's own backward keeps the input and sums over it for the gradients of weight and bias, which frozen
    parameters do not have.
    """

    @staticmethod
    def forward(
        ctx, x: Tensor, mean: Tensor, var: Tensor, weight: Tensor | None, bias: Tensor | None, eps: float
    ):
        scale = (var + eps).rsqrt()
        scale = scale if weight is None else scale * weight
        ctx.save_for_backward(scale.to(x.dtype))
        return F.batch_norm(x, mean, var, weight, bias, eps=eps)

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        (scale,) = ctx.saved_tensors
        scale = scale.view(-1, *[1] * (gradient.ndim - 2))  # along the channels, which are dimension 1
        return gradient * scale, None, None, None, None, None


class FrozenNorms(TorchFunctionMode):
    """Inside the block a batch normalisation whose input alone can get a gradient runs as `_FixedNorm`.

    It stands between the network and torch, so no module is changed. Normalisation by the batch's own
    statistics, and with a weight or bias that can get a gradient, runs as ever.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if func is F.batch_norm and (fixed := _fixed_arguments(*args, **kwargs)):
            return _FixedNorm.apply(*fixed)
        return func(*args, **kwargs)


def _fixed_arguments(
    x: Tensor,
    mean: Tensor | None,
    var: Tensor | None,
    weight: Tensor | None = None,
    bias: Tensor | None = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> tuple | None:
    """The arguments of `_FixedNorm`, or None where torch's own function is to run."""
    constants = [t for t in (mean, var, weight, bias) if t is not None]
    if training or not x.requires_grad or any(t.requires_grad for t in constants):
        return None
    return x, mean, var, weight, bias, eps
