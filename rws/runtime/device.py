"""Where tensors live: the device and memory format of a network, and images brought to both."""

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.runtime.distributed import local_device


def memory_format(channels_last: bool) -> torch.memory_format:
    """The memory format that a configuration's switch stands for."""
    return torch.channels_last if channels_last else torch.contiguous_format


def device_of(network: nn.Module) -> torch.device:
    """The device of a network that lies on one."""
    return next(network.parameters()).device


def to_network(images: Tensor, network: nn.Module) -> Tensor:
    """Images on the network's device, in channels_last when its convolutions' weights are.

    Shape: (N, C, H, W) -> (N, C, H, W).
    """
    # A 1x1 kernel is contiguous in both formats, so only a larger one tells them apart.
    kernel = next(
        (p for p in network.parameters() if p.ndim == 4 and p.shape[-1] > 1 and p.shape[1] > 1), None
    )
    last = kernel is not None and not kernel.is_contiguous()
    return images.to(device_of(network), non_blocking=True, memory_format=memory_format(last))


def choose_device(name: str) -> torch.device:
    """The device of a configuration; `auto` takes CUDA where there is one.

    Raises: UserError for a device that torch does not know or that is not there.
    """
    name = local_device(name)
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.zeros(1, device=device).item()  # fails on a device that holds no values, too
    except (RuntimeError, AssertionError) as error:
        reason = str(error).splitlines()[0]
        raise UserError(f"device {name!r} cannot be used ({reason}); take cpu or auto") from error
    return device
