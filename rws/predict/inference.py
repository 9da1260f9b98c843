"""Prediction for photographs: at their own size, with test-time augmentation, and heat maps of the stages."""

from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.core.cam import CamMethod, grad_cam, seg_grad_cam
from rws.core.labels import likeliest, resized_scores
from rws.core.stages import find_stages
from rws.data.files import displayed
from rws.data.levels import Levels
from rws.method.whole_input import whole_input
from rws.predict.tta import augmented_scores, with_quarters
from rws.predict.ways import check_tta, has_quarters
from rws.runs.model_file import Card
from rws.runtime.device import to_network


def shown_to(card: Card, image: Image.Image) -> Image.Image:
    """The image in RGB of 8 bits as a viewer shows it, as the network was trained to see it.

    Raises: UserError for an image of more than 8 bits whose range cannot be found.
    """
    return displayed(image, card.levels and Levels(*card.levels))


def network_input(card: Card, image: Image.Image, tta: str = "none") -> Tensor:
    """What the network sees of an image in RGB.

    Shape: (1, 3, h, w), the short side `card.base_size`; (5, 3, h, w) where `tta` `has_quarters`.
    Raises: UserError for an unknown `tta`, and as `whole_input`.
    """
    check_tta(tta)
    whole = whole_input(card, image)
    if not has_quarters(tta):
        return whole
    return with_quarters(tv_tensors.Image(TF.pil_to_tensor(image)), whole, card.transform())


def prepare_for_prediction(network: nn.Module, device: torch.device) -> nn.Module:
    """Bring a network to the device in eval mode and channels_last, without its auxiliary head.

    torchvision's networks would compute that head in eval mode too; the logits do not depend on it.
    channels_last is the format of training and evaluation, and faster; a contiguous network's logits differ
    in the last bits.
    """
    if getattr(network, "aux_classifier", None) is not None:
        network.aux_classifier = None
    return network.eval().to(device, memory_format=torch.channels_last)


@torch.inference_mode()
def probabilities(network: nn.Module, images: Tensor, tta: str = "none") -> Tensor:
    """Softmax probabilities, with `tta` their mean.

    Shape: as `augmented_scores`, float32 on the network's device.
    Raises: UserError for an unknown `tta`.
    """
    scores = augmented_scores(network, images, tta).float()
    return scores.softmax(1) if tta == "none" else scores


@dataclass(frozen=True)
class SeenOnce:
    """What a network saw of an image of `size` = (H, W) in one way.

    scores: (1, C, h, w) logits, or mean probabilities where they are `averaged`.
    """

    scores: Tensor
    size: tuple[int, int]
    averaged: bool

    def label(self) -> np.ndarray:
        """The likeliest class of each pixel, as `predict_label`.

        Shape: (H, W) uint8.
        """
        return likeliest(self.scores, self.size).cpu().numpy()

    @torch.inference_mode()
    def probabilities(self) -> Tensor:
        """Probabilities at the image's own size.

        Shape: (C, H, W).
        """
        scores = resized_scores(self.scores, self.size)[0]
        return scores if self.averaged else scores.softmax(0)


@torch.inference_mode()
def see_once(network: nn.Module, card: Card, image: Image.Image, tta: str = "none") -> SeenOnce:
    """See an image in RGB once, or in the several ways of `tta`.

    Raises: UserError for an unknown `tta` and for an image that cannot be used.
    """
    scores = augmented_scores(network, network_input(card, image, tta), tta).float()
    return SeenOnce(scores, (image.height, image.width), averaged=tta != "none")


@torch.inference_mode()
def predict_logits(network: nn.Module, card: Card, image: Image.Image, tta: str = "none") -> Tensor:
    """The network's logits at the image's own (displayed) size; with `tta` logarithms of mean probabilities.

    With "none" they are the logits of the plain network, resized, and nothing else; "flip" averages over the
    mirrored image, "ms_flip" over TTA_SCALES too, "quarters" over the whole image and its enlarged quarters,
    "quarters_flip" over these and their mirror images. In each case a softmax gives probabilities.

    Shape: (C, H, W) on the network's device.
    Raises: UserError for an unknown `tta` and for an image that cannot be used.
    """
    image = shown_to(card, image)
    scores = augmented_scores(network, network_input(card, image, tta), tta)
    scores = resized_scores(scores, (image.height, image.width))[0]
    return scores if tta == "none" else scores.clamp_min(torch.finfo(scores.dtype).tiny).log()


def predict_label(network: nn.Module, card: Card, image: Image.Image, tta: str = "none") -> np.ndarray:
    """The likeliest class of each pixel, as the argmax of `predict_logits`, in the memory of a few classes.

    Shape: (H, W) uint8.
    Raises: UserError for an unknown `tta` and for an image that cannot be used.
    """
    image = shown_to(card, image)
    return label_of_input(network, network_input(card, image, tta), (image.height, image.width), tta)


@torch.inference_mode()
def label_of_input(network: nn.Module, images: Tensor, size: tuple[int, int], tta: str) -> np.ndarray:
    """`predict_label` of what `network_input` made of an image of `size` = (H, W).

    Shape: (1, 3, h, w), or what else `network_input` makes for `tta` -> (H, W) uint8.
    Raises: UserError for an unknown `tta`.
    """
    return likeliest(augmented_scores(network, images, tta), size).cpu().numpy()


def class_maps(
    network: nn.Module,
    card: Card,
    image: Image.Image,
    label: np.ndarray,
    index: int,
    method: CamMethod = grad_cam,
) -> tuple[Tensor, np.ndarray]:
    """Seg-Grad-CAM of every stage, or another `method`, for the pixels that `label` gives to class `index`.

    They make the score; the maps spread over the whole photograph, and are 0 where there are none.

    Shape: `image` (displayed) and `label` (H, W) -> maps (L, h, w) in [0, 1] on the CPU, and the pixels of
    the class (h, w) bool at that size, which is the network input's.
    """
    images = to_network(network_input(card, image), network)
    height, width = images.shape[-2:]
    small = Image.fromarray(label == index).resize((width, height), Image.Resampling.NEAREST)
    own = np.asarray(small, dtype=bool)
    # Everything else gets a value of no class, so that only these pixels make the score.
    target = torch.from_numpy(np.where(own, index, -1)).to(images.device)
    stages = find_stages(network, card.stages)
    whole: list[Tensor] = []  # a map a stage, of one class, before it is cut to the pixels of the class

    def kept(feature: Tensor, gradient: Tensor, size: tuple[int, int]) -> Tensor:
        whole.append(method(feature, gradient, size))
        return whole[-1]

    found = seg_grad_cam(network, stages, images, target[None], [index], method=kept)
    return (torch.cat(whole) if whole else found.maps[0]).cpu(), own


def maps_at_own_size(
    network: nn.Module,
    card: Card,
    image: Image.Image,
    label: np.ndarray,
    index: int,
    method: CamMethod = grad_cam,
    *,
    whole: bool = False,
) -> Tensor:
    """The maps of `class_maps` at the size of the label; but for the `whole`, 0 at pixels of another class.

    Shape: `image` (displayed) and `label` (H, W) -> (L, H, W) in [0, 1].
    """
    maps, _ = class_maps(network, card, image, label, index, method)
    maps = resized_scores(maps[None], label.shape)[0]
    return maps if whole else maps * torch.from_numpy(label == index)
