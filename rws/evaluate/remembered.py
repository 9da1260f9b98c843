"""A network that is asked once for each image, however many ways to predict show it the same one."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from rws.core.stages import logits_of
from rws.runtime.device import to_network


@contextmanager
def remembering(network: nn.Module) -> Iterator[Callable[[], None]]:
    """Inside the block a network answers images that it has seen from memory; what this yields empties it.

    Where gradients are wanted it is asked anew. The memory knows an image by its values, so an image that is
    mirrored or of another size is another one. In another batch a network may answer otherwise, in the last
    digits.
    """
    asked, answers = network.forward, {}

    def forward(images: Tensor) -> Tensor:
        if torch.is_grad_enabled():
            return asked(images)
        keys = [_key(image) for image in images]
        new = [k for k, key in enumerate(keys) if key not in answers]
        if new:
            unseen = images if len(new) == len(keys) else to_network(images[new], network)
            answers.update(zip((keys[k] for k in new), logits_of(asked(unseen))))
        return torch.stack([answers[key] for key in keys])

    network.forward = forward
    try:
        yield answers.clear
    finally:
        del network.forward


def _key(image: Tensor) -> tuple:
    values = image.contiguous().cpu().numpy().tobytes()
    return (*image.shape, hashlib.blake2b(values).digest())
