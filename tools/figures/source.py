"""What the pictures are made from: the folder of a finished run."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
import yaml
from torch import Tensor

from rws.core.cam import StageMaps
from rws.data import Split, open_split
from rws.data.sliced_images import SlicedImage, SlicedImages
from rws.errors import UserError
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.predict.inference import predict_label
from rws.runs.checkpoint import read_json
from rws.runs.model_file import Card, load_trained


@dataclass(frozen=True)
class Source:
    """A run that has ended after one cycle or more.

    folder: of the run. state: its state.json.
    """

    folder: Path
    state: dict

    @property
    def config(self) -> dict:
        """The run's own configuration."""
        return yaml.safe_load((self.folder / "config.yaml").read_text())

    def split(self, name: str) -> Split:
        """The training or validation images, `train` or `val`."""
        data = self.config["data"]
        return open_split(data["name"], data["root"], name)

    def boxes(self) -> dict[str, list]:
        """The weak slices of the first cycle that were kept, by image."""
        return read_json(self.folder / "cycles" / "0" / "slices.json")

    def bank(self) -> Bank:
        """What the first cycle selected."""
        return Bank(self.folder / "cycles" / "0" / "bank")

    def network(self, name: str) -> "Looked":
        """A network of the run by its file's name within the folder."""
        network, card = load_trained(self.folder / name)
        return Looked(CamNetwork(network, card.stages, card.classes), card)


@dataclass(frozen=True)
class Looked:
    """A network with its card."""

    scored: CamNetwork
    card: Card

    def whole(self, split: Split, image_id: str) -> tuple[SlicedImage, StageMaps]:
        """An image as the network sees it, and its maps."""
        item = SlicedImages(split, {}, self.card.transform()).cut(image_id, [(0, 0, *split.size(image_id))])
        return item, self.scored.maps(item.image[None], item.label[None])

    def sliced(self, split: Split, image_id: str, box: list[int]) -> tuple[SlicedImage, StageMaps]:
        """A slice of an image, enlarged, and its maps."""
        item = SlicedImages(split, {}, self.card.transform()).cut(image_id, [tuple(box)])
        return item, self.scored.maps(item.slices, item.slice_labels())

    def predict(self, split: Split, image_id: str) -> np.ndarray:
        """Shape: (H, W)."""
        return predict_label(self.scored.network, self.card, split.image(image_id))


def open_run(folder: Path) -> Source:
    """A finished run.

    Raises: UserError for a folder that holds none, or one that went through no cycle.
    """
    path = folder / "state.json"
    if not path.is_file():
        raise UserError(f"{folder}: holds no run of RWS; `make figures` makes the runs that it draws")
    state = read_json(path)
    if state["stopped"] is None or len(state["cycles"]) < 2:
        raise UserError(f"{folder}: this run has not ended after a cycle; let `train.py --resume` finish it")
    return Source(folder, state)


def most_fused(source: Source) -> str:
    """The image of which the largest share of cells is fused, a mean over the stages; the first of equals.

    Of those that hold one class, where there are any: with several a picture is harder to read.
    """
    bank, split = source.bank(), source.split("train")
    known = [i for i, boxes in source.boxes().items() if boxes]
    alone = [i for i in known if len(set(np.unique(split.label(i))) & set(split.classes.foreground)) == 1]

    def share(image_id: str) -> float:
        return sum(rows.share for rows in bank.read(image_id).values())

    if not known:
        raise UserError(f"{source.folder}: no image has a weak slice, so there is nothing to draw")
    return max(alone or known, key=share)


def short(stage: str) -> str:
    """A stage's name without the modules around it."""
    return stage.rpartition(".")[2]


def foreground(source_label: Tensor, looked: Looked) -> np.ndarray:
    """Shape: (H, W) -> (H, W) bool."""
    return looked.scored.is_foreground(source_label).numpy().astype(bool)


def use_one_thread() -> None:
    """Sums in one order, so that the same run gives the same pictures."""
    torch.set_num_threads(1)
