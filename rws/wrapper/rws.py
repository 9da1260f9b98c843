"""RWS in a training loop of your own: it wraps any network and leaves the loop, loss and data to you."""

import shutil
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.config import SliceConfig
from rws.core.auto_stages import automatic_stages
from rws.core.fusion import fused, identity_coordinates
from rws.core.stages import StageInfo, find_stages, stage_infos
from rws.data.boxes import Box
from rws.data.classes import ClassSet
from rws.data.eval_images import EvalBatch
from rws.data.palette import distinct_colours
from rws.data.sliced_images import SlicedImage
from rws.data.transforms import CoordinateMap
from rws.errors import UserError
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.method.fuse import BankFusion
from rws.method.score import ScoringResult, score_images
from rws.method.select import select_features
from rws.models.compiled import is_compiled
from rws.wrapper.slice_batches import Loader, WeakSlices, enlarged, named


def coordinates(height: int, width: int) -> CoordinateMap:
    """Where each pixel of an image lies in it; augmented with the image it says where each one came from.

    Every geometric transform of torchvision.transforms.v2 moves it as it moves the image.

    Shape: (3, height, width).
    """
    return CoordinateMap(identity_coordinates(height, width))


class RWS:
    """Refined weak slices for a network that maps images to logits, bare or as {"out": logits}.

    A cycle is: train the network with `fused` around its forward pass (nothing is fused at first), `score`
    the training images, train a copy of it on `slices`, and `select`. The network is never changed.

    Args:
        stages: names of the modules that are the stages, early to late; None finds them.
        background: the class whose pixels are no foreground; None for labels that have none.
        ignore_index: the value of unlabelled pixels.
        slices: the windows and the weak-slice test.
        folder: where the selected features are kept; None takes a temporary folder.

    Raises: UserError for a network in which a stage is missing or none can be found, and for a compiled one.
    Source: METHOD; Rao et al., IEEE TCSVT 34(7), 2024.
    """

    def __init__(
        self,
        model: nn.Module,
        num_classes: int,
        *,
        stages: Sequence[str] | None = None,
        background: int | None = None,
        ignore_index: int = 255,
        slices: SliceConfig | None = None,
        folder: str | Path | None = None,
    ):
        if is_compiled(model):
            raise UserError(
                "RWS: torch.compile runs this network, past the hooks that see and fuse its stages; give RWS "
                "and your loop the network that was compiled"
            )
        self.model, self.config = model, slices or SliceConfig()
        names = tuple(str(c) for c in range(num_classes))
        self.classes = ClassSet(names, distinct_colours(num_classes, background), background, ignore_index)
        try:
            self.stages = tuple(stages or automatic_stages(model))
            find_stages(model, self.stages)
        except (ValueError, TypeError, KeyError, RuntimeError) as error:
            raise UserError(
                f"{type(model).__name__}: {error.args[0]}; or give RWS(..., stages=[...])"
            ) from error
        self.folder = Path(folder or self._own_folder()) / "bank"
        self.scores: ScoringResult | None = None
        self._bank: Bank | None = None
        self._fusions: dict[tuple[int, int], BankFusion] = {}

    def stage_infos(self, size: tuple[int, int] = (96, 160)) -> list[StageInfo]:
        """Names, channels and strides of the stages, seen with an image of `size`."""
        return stage_infos(self.model, self.stages, size)

    def score(self, loader: Loader) -> ScoringResult:
        """Map the images of a loader and find their weak slices (METHOD steps 1 and 2).

        Raises: UserError for two images of one id.
        """
        self.scores = score_images(self._scored(self.model), _eval_batches(loader), None, self.config)
        return self.scores

    def slices(self, loader: Loader, batch_size: int, seed: int = 0) -> WeakSlices:
        """The weak slices that `score` found, enlarged to the size of the images, for training a copy.

        Batches of the same form as the loader's, (images, labels, ids), each time in another order; their ids
        are "", to which nothing is fused. `loader` is that of `score`.
        """
        return WeakSlices(loader, self._boxes(), batch_size, seed)

    def select(self, loader: Loader, sliced: nn.Module, batch_size: int = 4) -> dict[str, float]:
        """Let the slices compete and keep what the winners' features are (METHOD steps 3 and 4).

        `sliced` is the copy of the model that was trained on the slices; `loader` is that of `score`.
        Returned is the share of fused cells of each stage, a mean over the images.
        """
        boxes = self._boxes()
        whole, copy = self._scored(self.model), self._scored(sliced)
        cut = (
            _cut(image_id, image, label, boxes[image_id])
            for images_, labels, ids in loader
            for image_id, image, label in zip(named(ids), images_, labels)
            if boxes.get(image_id)
        )
        select_features(whole, copy, cut, self.folder, batch_size)
        self._fusions.clear()
        self._bank = Bank(self.folder) if (self.folder / "index.json").is_file() else None
        return self._bank.fused_share(len(boxes)) if self._bank else dict.fromkeys(self.stages, 0.0)

    def fused(self, images: Tensor, ids: Sequence, where: Tensor | None = None) -> AbstractContextManager:
        """The context in which the model's forward pass of a batch is fused (METHOD step 5).

        Before the first `select`, and of images of which nothing was selected, nothing is fused.

        Shape: images (N, 3, h, w); where (N, 3, h, w), their augmented `coordinates`, or None for images
        without augmentation.
        """
        if self._bank is None:
            return nullcontext()
        size = tuple(images.shape[-2:])
        if size not in self._fusions:
            self._fusions[size] = BankFusion(self._bank, self.model, size)
        fusion = self._fusions[size]
        if where is None:
            where = identity_coordinates(*size).expand(len(images), -1, -1, -1)
        rows = [self._bank.read(image_id) for image_id in named(ids)]
        return fused(fusion.stages, fusion.blends_of(where, rows))

    def _own_folder(self) -> str:
        """A new folder that goes with this object, at the latest when Python ends."""
        folder = tempfile.mkdtemp(prefix="rws-")
        weakref.finalize(self, shutil.rmtree, folder, ignore_errors=True)
        return folder

    def _scored(self, network: nn.Module) -> CamNetwork:
        return CamNetwork(network, self.stages, self.classes)

    def _boxes(self) -> dict[str, list[Box]]:
        if self.scores is None:
            raise UserError("RWS: nothing is scored yet; call rws.score(loader) first")
        return self.scores.boxes


def _eval_batches(loader: Loader) -> Iterator[EvalBatch]:
    seen: set[str] = set()
    for images, labels, ids in loader:
        names = named(ids)
        for name in names:
            if name in seen:
                raise UserError(
                    f"RWS: two images have the id {name!r}; features are kept by id, so give each its own"
                )
            seen.add(name)
        yield EvalBatch(images, labels.long(), tuple(names))


def _cut(image_id: str, image: Tensor, label: Tensor, boxes: list[Box]) -> SlicedImage:
    """An image with its slices; boxes are in pixels of the label.

    Shape: (3, h, w), (H, W).
    """
    slices = torch.stack([enlarged(image, tuple(label.shape), box) for box in boxes])
    return SlicedImage(image_id, image, label.long(), torch.tensor(boxes), slices)
