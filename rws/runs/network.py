"""The network of a configuration with its initial weights."""

import torch
from torch import nn

from rws.config import Config
from rws.models import LoadReport, build_network
from rws.runtime.device import memory_format
from rws.runtime.seeding import derive_seed


def make_network(config: Config, num_classes: int, device: torch.device) -> tuple[nn.Module, LoadReport]:
    """The initial network, the same each time: weights from the file, the rest drawn from the run's seed.

    Raises: UserError for an unknown network or weights that do not fit.
    """
    torch.manual_seed(derive_seed(config.seed, "initial weights"))
    model = config.model
    network, report = build_network(
        model.name, num_classes, aux=model.aux, weights=model.weights, weights_dir=model.weights_dir
    )
    return network.to(device, memory_format=memory_format(model.channels_last)), report
