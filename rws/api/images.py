"""What a person holds as an image, made an image in RGB as a network was trained to see it."""

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torchvision.transforms.v2 import functional as TF

from rws.data.files import is_deep
from rws.errors import UserError
from rws.predict.images import open_image
from rws.predict.inference import shown_to
from rws.runs.card import Card

Source: TypeAlias = str | Path | Image.Image | np.ndarray | Tensor

OUTSIDE = 1e-3  # by which values of a tensor may miss [0, 1], after a resizing say


def as_image(source: Source, card: Card) -> Image.Image:
    """A photograph's path, a PIL image, an array or a tensor as an image in RGB of 8 bits.

    Of colours of 16 bits Pillow keeps the upper 8 alone, so an opened image of such is read from its file.
    That it is one is known before its pixels are decoded alone: what is decoded already has 8 bits.

    Shape: an array (H, W, 3) uint8 in RGB; a tensor (3, H, W), uint8, or floating in [0, 1], which is rounded
        to 8 bits.
    Raises: UserError for a file that cannot be read, and for what is none of these, with what is needed.
    """
    if isinstance(source, str | Path):
        return open_image(Path(source), card.levels)
    if isinstance(source, Image.Image):
        return _of_opened(source, card)
    if isinstance(source, np.ndarray):
        return _of_array(source)
    if isinstance(source, Tensor):
        return _of_tensor(source)
    raise UserError(
        f"a {type(source).__name__} is no image: give a path, a PIL image, an RGB array (H, W, 3) uint8, a "
        "tensor (3, H, W), or a list of them"
    )


def _of_opened(image: Image.Image, card: Card) -> Image.Image:
    if not is_deep(image) or len(image.getbands()) == 1:
        return shown_to(card, image)
    if not (name := getattr(image, "filename", "")):
        raise UserError("an image in colours of 16 bits, which Pillow cuts to 8: give the path of its file")
    return open_image(Path(os.fsdecode(name)), card.levels)


def _of_array(array: np.ndarray) -> Image.Image:
    if array.ndim != 3 or array.shape[2] != 3 or array.dtype != np.uint8 or not array.size:
        raise UserError(
            f"an array {array.shape} of {array.dtype}: needed is (H, W, 3) of uint8 in RGB; OpenCV's BGR is "
            "turned by image[..., ::-1]"
        )
    return Image.fromarray(np.ascontiguousarray(array))


def _of_tensor(tensor: Tensor) -> Image.Image:
    shape = tuple(tensor.shape)
    if tensor.ndim == 4:
        raise UserError(f"a tensor {shape} is a batch: give list(batch), one image (3, H, W) each")
    if tensor.ndim != 3 or shape[0] != 3 or not tensor.numel():
        raise UserError(f"a tensor {shape}: needed is one image (3, H, W) in RGB")
    tensor = tensor.detach().cpu()
    if tensor.dtype == torch.uint8:
        return TF.to_pil_image(tensor)
    if not tensor.is_floating_point():
        raise UserError(f"a tensor of {tensor.dtype}: needed is torch.uint8, or floating in [0, 1]")
    low, high = float(tensor.min()), float(tensor.max())
    if not (low >= -OUTSIDE and high <= 1 + OUTSIDE):  # so that NaN fails, too
        raise UserError(
            f"a tensor of values {low:g} to {high:g}: needed is [0, 1]; give the image before normalisation"
        )
    return TF.to_pil_image((tensor.float().clamp(0, 1) * 255).round().to(torch.uint8))
