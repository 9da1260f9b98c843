"""Where tensors live: the device and memory format of a network, and images brought to both."""

import torch
from torch import Tensor, nn


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
