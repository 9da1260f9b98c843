"""Ways to predict an image, each with its cost in units, forward passes at the size of the network's input.

An image at s times that size costs s^2, a window 1, and so does a backward pass for heat maps.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn
from torchvision import tv_tensors
from torchvision.transforms.v2 import functional as TF

from rws.core.labels import likeliest, resized_scores
from rws.core.stages import logits_of
from rws.core.windows import uncertainty
from rws.errors import UserError
from rws.evaluate.names import AVERAGED, CHOSEN, NAMES, ORACLE, SCALES
from rws.method.look_again import PassBudget, look_again
from rws.method.stages import SMALL, check_stages
from rws.predict.inference import network_input, predict_label
from rws.predict.ways import LookAgain
from rws.runs.model_file import Card
from rws.runtime.device import to_network


@dataclass(frozen=True)
class Photo:
    """An image with its label, by which a way may choose only where it says so."""

    image_id: str
    image: Image.Image
    label: np.ndarray


@dataclass(frozen=True)
class Trained:
    """A network with its card."""

    network: nn.Module
    card: Card

    def require_stages(self, name: str) -> None:
        """Raises: UserError for a network of a file that has no stages to look at."""
        try:
            check_stages(self.network, self.card.stages, SMALL)
        except UserError as error:
            raise UserError(f"{name}: {error}") from error


Predicted = tuple[np.ndarray, float]  # label (H, W) uint8, and its units
Way = Callable[[Trained, Photo], Predicted]


def augmented(tta: str, units: float, trained: Trained, photo: Photo) -> Predicted:
    """A way of `--ways` that averages augmentations."""
    return predict_label(trained.network, trained.card, photo.image, tta), units


def enlarged(scales: Sequence[float], trained: Trained, photo: Photo) -> Predicted:
    """The mean of the probabilities at several scales of the network's input."""
    size = (photo.image.height, photo.image.width)
    found = [_at_scale(scale, trained, photo) for scale in scales]
    return likeliest(torch.stack(found).mean(0), size).cpu().numpy(), sum(s * s for s in scales)


def weighed(scale: float, trained: Trained, photo: Photo) -> Predicted:
    """The image at a scale believed as far as the image itself is unsure: how RWS weighs, without windows."""
    size = (photo.image.height, photo.image.width)
    whole, large = (_at_scale(s, trained, photo) for s in (1.0, scale))
    share = uncertainty(whole[0])
    return likeliest(whole * (1 - share) + large * share, size).cpu().numpy(), 1 + scale * scale


def _at_scale(scale: float, trained: Trained, photo: Photo) -> Tensor:
    """Probabilities of an image, seen at a multiple of the network's input, at its own size.

    Shape: (1, C, H, W).
    """
    image = photo.image
    height, width = network_input(trained.card, image).shape[-2:]
    pixels = tv_tensors.Image(TF.pil_to_tensor(image))
    large = TF.resize(pixels, [round(scale * height), round(scale * width)], antialias=True)
    images = trained.card.at_own_size()(large).as_subclass(Tensor)[None]
    seen = logits_of(trained.network(to_network(images, trained.network))).float().softmax(1)
    return resized_scores(seen, (image.height, image.width))


def again(look: LookAgain, budget: PassBudget | None, trained: Trained, photo: Photo) -> Predicted:
    """RWS, `--ways rws`; without a budget of all images each gets as many windows."""
    found = look_again(trained.network, trained.card, photo.image, look, budget)
    return found.label(), found.units


def by_error(look: LookAgain, budget: PassBudget | None, trained: Trained, photo: Photo) -> Predicted:
    """Windows over the errors of the first pass: what a choice could reach, no way to predict."""
    choice = partial(_errors, photo)
    found = look_again(trained.network, trained.card, photo.image, look, budget, choice)
    return found.label(), found.units


def _errors(photo: Photo, whole: Tensor) -> Tensor:
    """Where the prediction is wrong; shape (C, h, w) -> (h, w)."""
    label = Image.fromarray(photo.label).resize(whole.shape[:0:-1], Image.Resampling.NEAREST)
    label = torch.from_numpy(np.array(label)).to(whole.device)
    return ((whole.argmax(0) != label) & (label < len(whole))).float()


def uniform_ways() -> dict[str, Way]:
    """The ways that look at every image alike, by name."""
    ttas = {name: "none" if name == "plain" else name for name in AVERAGED}
    ways: dict[str, Way] = {n: partial(augmented, ttas[n], units) for n, units in AVERAGED.items()}
    for scale in SCALES:
        ways[f"at_{scale:g}"] = partial(enlarged, (scale,))
        ways[f"with_{scale:g}"] = partial(enlarged, (1.0, scale))
        ways[f"weighed_{scale:g}"] = partial(weighed, scale)
    return ways


def make_ways(names: Sequence[str], passes: float | None = None) -> dict[str, Way]:
    """Some ways by name, good for one network and one list: `passes` is a mean over its images, else 3.

    Raises: UserError for an unknown name, and for passes that cannot be.
    """
    if unknown := [name for name in names if name not in NAMES]:
        raise UserError(f"--ways {unknown[0]}: must be some of {', '.join(NAMES)}")
    found, plain = uniform_ways(), LookAgain() if passes is None else LookAgain(passes)
    for name, choose in CHOSEN.items():
        look = replace(plain, choose=choose)
        found[name] = partial(again, look, PassBudget(look))
    found[ORACLE] = partial(by_error, plain, PassBudget(plain))
    return {name: found[name] for name in dict.fromkeys(names)}
