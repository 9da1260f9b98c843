"""What a network sees of an image by itself, as it was evaluated."""

from PIL import Image
from torch import Tensor
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.data.files import refuse_strip
from rws.runs.card import Card


def whole_input(card: Card, image: Image.Image) -> Tensor:
    """What the network sees of an image in RGB.

    Shape: (1, 3, h, w), the short side `card.base_size`.
    Raises: UserError for an image more than 16 times as long as wide.
    """
    refuse_strip(*image.size)
    return card.transform()(tv_tensors.Image(TF.pil_to_tensor(image))).as_subclass(Tensor)[None]
