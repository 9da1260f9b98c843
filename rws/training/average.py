"""A moving average of a network's weights over the steps of its training."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from rws.runtime.distributed import share_buffers


class WeightAverage:
    """The exponential moving average of a network's parameters and buffers.

    The running statistics of batch normalisation are averaged as the weights are. After t steps it keeps
    (1 + t) / (10 + t) of itself while that is below `decay`, so that the first weights are soon forgotten.

    Source: the schedule is that of tf.train.ExponentialMovingAverage.
    """

    def __init__(self, network: nn.Module, decay: float):
        self.decay = decay
        self.model = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)

    def update(self, network: nn.Module) -> None:
        """Move towards the network, after a step; the first step is taken over as it is."""
        t = int(self.model.n_averaged)
        self.model.multi_avg_fn = get_ema_multi_avg_fn(min(self.decay, (1 + t) / (10 + t)))
        self.model.update_parameters(network)
        share_buffers(self.model)

    def move_into(self, network: nn.Module) -> None:
        """Give the network the averaged weights."""
        network.load_state_dict(self.model.module.state_dict())

    @contextmanager
    def in_place_of(self, network: nn.Module) -> Iterator[None]:
        """The network has the averaged weights inside the block, and its own again after it."""
        own = {key: value.clone() for key, value in network.state_dict().items()}
        self.move_into(network)
        try:
            yield
        finally:
            network.load_state_dict(own)
