"""Dilated depthwise convolutions on a CPU with a quick backward pass."""

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.overrides import TorchFunctionMode

Pair = tuple[int, int]


class _Depthwise(torch.autograd.Function):
    """A depthwise convolution of stride 1: the same output, and its input's gradient by another of its kind.

    oneDNN's own gradient of the input takes twenty times as long where the kernel is dilated.
    """

    @staticmethod
    def forward(ctx, x: Tensor, weight: Tensor, bias: Tensor | None, padding: Pair, dilation: Pair):
        ctx.save_for_backward(x if weight.requires_grad else None, weight)
        ctx.geometry, ctx.bias = (padding, dilation), bias is not None
        return F.conv2d(x, weight, bias, 1, padding, dilation, len(weight))

    @staticmethod
    @once_differentiable
    def backward(ctx, gradient: Tensor):
        x, weight = ctx.saved_tensors
        padding, dilation = ctx.geometry
        of_input, of_weight, of_bias = ctx.needs_input_grad[:3]
        found = [None, None, None]
        if of_input:
            rest = [d * (k - 1) - p for d, k, p in zip(dilation, weight.shape[2:], padding)]
            found[0] = F.conv2d(gradient, weight.flip(-2, -1), None, 1, rest, dilation, len(weight))
        if of_weight:
            _, found[1], _ = torch.ops.aten.convolution_backward(
                gradient,
                x,
                weight,
                None,
                [1, 1],
                padding,
                dilation,
                False,
                [0, 0],
                len(weight),
                [False, True, False],
            )
        if of_bias:
            found[2] = gradient.sum((0, 2, 3))
        return *found, None, None


class QuickDepthwise(TorchFunctionMode):
    """Inside the block a dilated depthwise convolution whose input can get a gradient runs as `_Depthwise`.

    It stands between the network and torch, so no module is changed. Convolutions on a GPU, with a stride,
    and under autocast run as ever.
    """

    def __torch_function__(self, func, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if (
            func is F.conv2d
            and not torch.compiler.is_compiling()
            and (quick := _quick_arguments(*args, **kwargs))
        ):
            return _Depthwise.apply(*quick)
        return func(*args, **kwargs)


def _pair(value: int | tuple[int, ...]) -> Pair:
    return (value, value) if isinstance(value, int) else tuple(value)


def _quick_arguments(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: int | Pair = 1,
    padding: int | Pair | str = 0,
    dilation: int | Pair = 1,
    groups: int = 1,
) -> tuple | None:
    """The arguments of `_Depthwise`, or None where torch's own function is to run."""
    stride, dilation = _pair(stride), _pair(dilation)
    depthwise = groups > 1 and input.ndim == 4 and input.shape[1] == len(weight) == groups
    if not depthwise or dilation == (1, 1) or stride != (1, 1) or isinstance(padding, str):
        return None
    if not input.requires_grad or input.device.type != "cpu" or torch.is_autocast_enabled("cpu"):
        return None
    padding = _pair(padding)
    wide = any(p > d * (k - 1) for p, d, k in zip(padding, dilation, weight.shape[2:]))
    return None if wide else (input, weight, bias, padding, dilation)
