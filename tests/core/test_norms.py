"""Batch normalisation whose backward pass only scales, against torch's own."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from rws.core.norms import FrozenNorms


def both(module, x):
    """Output and gradient, with and without the mode."""
    found = []
    for mode in (torch.enable_grad(), FrozenNorms()):
        leaf = x.clone().requires_grad_()
        with mode:
            out = module(leaf)
        found.append((out, torch.autograd.grad(out.square().sum(), leaf)[0]))
    return found


@pytest.mark.parametrize("affine", [True, False])
@pytest.mark.parametrize(
    ("norm", "size"), [(nn.BatchNorm1d, (7,)), (nn.BatchNorm2d, (4, 6)), (nn.BatchNorm3d, (2, 4, 3))]
)
def test_output_is_the_same_and_the_gradient_equal_to_rounding(norm, size, affine):
    module = norm(5, affine=affine)
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.3, 2.0)
    module.eval().requires_grad_(False)
    (out, gradient), (our_out, our_gradient) = both(module, torch.randn(3, 5, *size))
    assert torch.equal(our_out, out)
    assert type(our_out.grad_fn).__name__ == "_FixedNormBackward"
    torch.testing.assert_close(our_gradient, gradient, rtol=1e-6, atol=1e-7)


def test_gradient_by_finite_differences(filled):
    module = filled(nn.BatchNorm2d(3)).double().eval().requires_grad_(False)
    x = torch.randn(2, 3, 4, 2, dtype=torch.float64, requires_grad=True)
    with FrozenNorms():
        assert torch.autograd.gradcheck(module, x)


def test_memory_format_is_kept(filled):
    module = filled(nn.BatchNorm2d(3)).eval().requires_grad_(False)
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    for out, gradient in both(module, x):
        assert out.is_contiguous(memory_format=torch.channels_last)
        assert gradient.is_contiguous(memory_format=torch.channels_last)


def test_the_input_is_not_kept_for_the_backward_pass(filled):
    module = filled(nn.BatchNorm2d(3)).eval().requires_grad_(False)
    kept = []
    x = torch.randn(2, 3, 40, 50, requires_grad=True)
    with (
        torch.autograd.graph.saved_tensors_hooks(lambda t: (kept.append(t.numel()), t)[1], lambda t: t),
        FrozenNorms(),
    ):
        module(x)
    assert kept == [3]


@pytest.mark.parametrize(
    "module",
    [nn.BatchNorm2d(3), nn.BatchNorm2d(3).eval(), nn.BatchNorm2d(3, track_running_stats=False).eval()],
    ids=["train mode", "parameters that learn", "batch statistics in eval mode"],
)
def test_what_is_not_frozen_is_left_to_torch(module):
    with FrozenNorms():
        out = module(torch.randn(2, 3, 4, 4, requires_grad=True))
    assert type(out.grad_fn).__name__ == "NativeBatchNormBackward0"


def test_nothing_is_left_behind_by_an_exception(filled):
    module = filled(nn.BatchNorm2d(3)).eval().requires_grad_(False)
    true = F.batch_norm
    with pytest.raises(ArithmeticError), FrozenNorms():
        raise ArithmeticError
    assert F.batch_norm is true
    out = module(torch.randn(2, 3, 4, 4, requires_grad=True))
    assert type(out.grad_fn).__name__ == "NativeBatchNormBackward0"
