"""What a trained network teaches on photographs without labels: its probabilities, looked at again."""

import torch
from torch import Tensor, nn

from rws.config.look_again import LookAgain
from rws.core.labels import resized_scores
from rws.data.split import Split
from rws.data.targets import encoded, planes_of
from rws.errors import UserError
from rws.method.look_again import look_again
from rws.runs.card import Card
from rws.runtime.bars import tracked
from rws.runtime.distributed import gathered, is_first, own

FINER = 2  # than the network's input at most: a crop is enlarged by no more as a rule


@torch.inference_mode()
def targets_of(
    network: nn.Module, card: Card, photographs: Split, passes: int, title: str = "teach"
) -> dict[str, Tensor]:
    """The target of each photograph, `encoded`, by a network in eval mode that sees it in so many passes.

    Of several processes each sees its share, and all get all targets.

    Raises: UserError for a photograph that cannot be used.
    """
    options, found = LookAgain(passes), {}
    ids = own(photographs.ids)
    for image_id in tracked(ids, desc=title, unit="image", leave=False, disable=not is_first()):
        image = photographs.image(image_id)
        try:
            probabilities = look_again(network, card, image, options).probabilities()
        except UserError as error:
            raise UserError(f"{photographs.image_path(image_id)}: {error}") from None
        found[image_id] = encoded(planes_of(_as_fine_as_used(probabilities, card.base_size)))
    every = {image_id: target for part in gathered(found) for image_id, target in part.items()}
    return {image_id: every[image_id] for image_id in photographs.ids}


def _as_fine_as_used(probabilities: Tensor, base_size: int) -> Tensor:
    """At most FINER times as fine as the network's input; shape (C, H, W) -> (C, h, w)."""
    height, width = probabilities.shape[-2:]
    scale = min(1, FINER * base_size / min(height, width))
    return resized_scores(probabilities[None], (round(height * scale), round(width * scale)))[0]
