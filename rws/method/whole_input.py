"""What a network sees of an image by itself, as it was evaluated."""

from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.errors import UserError
from rws.runs.card import Card

# The short side becomes the card's base_size: a strip of 10 x 4000 pixels would fill the memory.
MAX_ASPECT = 16


def whole_input(card: Card, image: Image.Image) -> Tensor:
    """What the network sees of an image in RGB.

    Shape: (1, 3, h, w), the short side `card.base_size`.
    Raises: UserError for an image more than MAX_ASPECT times as long as wide.
    """
    if max(image.size) > MAX_ASPECT * min(image.size):
        size = f"{image.width} x {image.height} pixels"
        raise UserError(f"{size}: longer than {MAX_ASPECT} times its width; cut it into pieces")
    return card.transform()(tv_tensors.Image(TF.pil_to_tensor(image))).as_subclass(Tensor)[None]
