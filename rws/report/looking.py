"""The networks of a run, and what each sees in an image: its prediction and its heat maps, in one pass."""

from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from rws.core.advantage import missing_weights
from rws.core.labels import likeliest
from rws.core.stages import logits_of
from rws.cycle.artifacts import Artifacts
from rws.data.transforms import to_tensors
from rws.evaluate.ways import Trained
from rws.method.cams import CamNetwork
from rws.method.stages import SMALL, check_stages
from rws.predict.inference import prepare_for_prediction
from rws.report.facts import Facts
from rws.runs.model_file import Card, load_trained
from rws.runtime.device import to_network

PLAIN = "plain"  # the name of the network that was trained as long without the method


@dataclass(frozen=True)
class Seen:
    """prediction (H, W) uint8; maps and missing (L, H, W) in [0, 1]."""

    prediction: np.ndarray
    maps: np.ndarray
    missing: np.ndarray


@dataclass(frozen=True, eq=False)
class PageNetwork:
    """One network of a run, under a name."""

    key: str
    name: str
    path: Path
    scored: CamNetwork
    card: Card

    @property
    def trained(self) -> Trained:
        """The same for predicting."""
        return Trained(self.scored.network, self.card)

    def look(self, image: Image.Image, label: np.ndarray) -> Seen:
        """The heat maps are those of the label's classes, as in scoring; none of a network without stages.

        Shape: label (H, W) uint8 at the image's size.
        """
        pixels, target = to_tensors(image, label)
        batch = self.card.transform()(pixels).as_subclass(Tensor)[None]
        if not self.card.stages:
            none = np.zeros((0, *label.shape), np.float32)
            return Seen(likeliest(self._logits(batch), label.shape).cpu().numpy(), none, none)
        found = self.scored.maps(batch, target.as_subclass(Tensor).long()[None])
        A = found.maps[0]
        return Seen(
            likeliest(found.logits, label.shape).cpu().numpy(),
            A.cpu().numpy(),
            missing_weights(A).cpu().numpy(),
        )

    @torch.inference_mode()
    def _logits(self, images: Tensor) -> Tensor:
        network = self.scored.network
        return logits_of(network(to_network(images, network)))


def _networks(facts: Facts) -> list[tuple[str, str, Path]]:
    """Key, name and file of the networks that are compared, as far as they are there."""
    run = Artifacts(facts.folder)
    if facts.rounds:
        return [("rws", "last network", run.last)]
    last = facts.cycles[-1].cycle
    if last == 0:  # both arms are the first training
        return [("rws", "network", run.last)]
    plain = ("plain", PLAIN, run.left("plain", last))
    first = ("plain", "before RWS", run.left("whole", 0))
    there = [arm for arm in (plain, first) if arm[2].is_file()]
    return [*there[:1], ("rws", facts.trained, run.last)]


def load_networks(facts: Facts, device: torch.device, trusted: Collection[str] = ()) -> list[PageNetwork]:
    """The networks to compare, plain first; one alone where nothing is left to compare with.

    trusted: networks of one's own that the files may ask for.

    Raises: UserError for a network that is missing or damaged.
    """
    found = []
    for key, name, path in _networks(facts):
        network, card = load_trained(path, trusted)
        if card.stages:
            check_stages(network, card.stages, SMALL)
        scored = CamNetwork(prepare_for_prediction(network, device), card.stages, card.classes)
        found.append(PageNetwork(key, name, path, scored, card))
    return found
