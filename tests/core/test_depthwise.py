"""Dilated depthwise convolutions with a quick backward pass, against torch's own."""

import pytest
import torch
from torch import nn

from rws.core.depthwise import QuickDepthwise

QUICK = "_DepthwiseBackward"


def both(module, x):
    """The output, and the gradients of input and parameters, by torch and by ours."""
    found = []
    for mode in (torch.enable_grad(), QuickDepthwise()):
        leaf = x.clone().requires_grad_()
        with mode:
            out = module(leaf)
        wanted = [leaf, *(p for p in module.parameters() if p.requires_grad)]
        found.append((out, torch.autograd.grad(out.square().sum(), wanted)))
    return found


@pytest.mark.parametrize("trained", [True, False])
@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize(
    ("kernel", "padding", "dilation"), [(5, 4, 2), (3, 2, 2), (3, 0, 4), ((3, 5), (1, 3), (1, 2)), (1, 0, 2)]
)
def test_output_is_the_same_and_the_gradients_equal_to_rounding(kernel, padding, dilation, bias, trained):
    torch.manual_seed(0)
    module = nn.Conv2d(6, 6, kernel, padding=padding, dilation=dilation, groups=6, bias=bias)
    module.requires_grad_(trained)
    x = torch.randn(2, 6, 13, 16).to(memory_format=torch.channels_last)
    (out, gradients), (ours, our_gradients) = both(module, x)
    assert type(ours.grad_fn).__name__ == QUICK
    assert torch.equal(ours, out)
    assert len(our_gradients) == len(gradients) == 1 + trained * (1 + bias)
    for found, expected in zip(our_gradients, gradients):
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)
    assert our_gradients[0].is_contiguous(memory_format=torch.channels_last)


def test_gradients_by_finite_differences():
    torch.manual_seed(0)
    module = nn.Conv2d(2, 2, 3, padding=1, dilation=2, groups=2).double()
    x = torch.randn(1, 2, 6, 7, dtype=torch.float64, requires_grad=True)

    def quick(x, weight, bias):
        with QuickDepthwise():
            return torch.func.functional_call(module, {"weight": weight, "bias": bias}, x)

    assert torch.autograd.gradcheck(quick, (x, *module.parameters()))


@pytest.mark.parametrize(
    "module",
    [
        nn.Conv2d(4, 4, 3, groups=4),
        nn.Conv2d(4, 4, 3, stride=2, dilation=2, groups=4),
        nn.Conv2d(4, 8, 3, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, dilation=2, groups=2),
        nn.Conv2d(4, 4, 3, dilation=2),
        nn.Conv2d(4, 4, 1, padding=1, dilation=2, groups=4),
        nn.Conv2d(4, 4, 3, padding="same", dilation=2, groups=4),
    ],
)
def test_others_run_as_ever(module):
    x = torch.randn(1, 4, 12, 12, requires_grad=True)
    with QuickDepthwise():
        assert type(module(x).grad_fn).__name__ == "ConvolutionBackward0"


def test_under_autocast_it_runs_as_ever():
    module = nn.Conv2d(4, 4, 3, dilation=2, groups=4)
    x = torch.randn(1, 4, 12, 12, requires_grad=True)
    with QuickDepthwise(), torch.autocast("cpu", torch.bfloat16):
        out = module(x)
    assert type(out.grad_fn).__name__ != QUICK
    assert out.dtype is torch.bfloat16
