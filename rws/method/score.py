"""Steps 1 to 4 over a training set: score the images, find the weak slices, select features into the bank."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from rws.config import SliceConfig
from rws.core.advantage import BestSlices, missing_weights
from rws.core.cam import CamMethod, StageMaps, grad_cam, most_classes, seg_grad_cam
from rws.core.slices import (
    least_class_iou,
    released_window_boxes,
    same_size_parts,
    slice_iou,
    weak_slices,
    window_boxes,
)
from rws.core.stages import find_stages
from rws.data.classes import ClassSet
from rws.data.views import Box, EvalBatch, SlicedImage
from rws.method.bank import BankWriter, Precision, Rows, clear, seal
from rws.method.correctness import only_correct, with_probability
from rws.method.missing_weights import Sums, group_sums, mean_missing, tabulate
from rws.runtime.device import device_of, to_network
from rws.runtime.distributed import barrier, gathered, is_first, rank

RUN = 8  # images whose missing weights are looked at come in runs, so that they fill batches


@dataclass(frozen=True)
class Scored:
    """A network together with what is needed to look into it."""

    network: nn.Module
    stage_names: tuple[str, ...]
    classes: ClassSet

    @property
    def stages(self) -> dict[str, nn.Module]:
        return find_stages(self.network, self.stage_names)

    @property
    def device(self) -> torch.device:
        return device_of(self.network)

    def maps(
        self,
        images: Tensor,
        labels: Tensor | tuple[int, int],
        *,
        last: bool = False,
        probability: bool = False,
        method: CamMethod = grad_cam,
    ) -> StageMaps:
        """`seg_grad_cam` for the foreground classes, on the network's device; see also `with_probability`.

        With `last` for the last stage alone: the backward passes end there. For `labels` that are only a size
        the network's own prediction takes their place.
        """
        stages = {name: self.stages[name] for name in self.stage_names[-1:]} if last else self.stages
        foreground = self.classes.foreground
        most = None
        if isinstance(labels, Tensor):
            # Counted on the host, so that the device need not be asked in the middle of its work.
            most = most_classes(labels, foreground) if labels.device != self.device else None
            labels = labels.to(self.device)
        images = to_network(images, self.network)
        found = seg_grad_cam(self.network, stages, images, labels, foreground, most, method)
        return with_probability(self.network, images, found.labels, found) if probability else found

    def is_foreground(self, labels: Tensor) -> Tensor:
        """Labelled pixels that are not class-background."""
        known = labels != self.classes.ignore_index
        return known if self.classes.background is None else known & (labels != self.classes.background)

    def window_iou(self, A: Tensor, label: Tensor, boxes_yxhw: Tensor, config: SliceConfig) -> Tensor:
        """The IoU by which each window of an image is judged, from the last stage's map; on the host.

        Shape: A (H, W), label (H, W), boxes (K, 4) -> (K,) float64.
        """
        attended = config.attention_min < A
        if config.iou_by == "class":
            return least_class_iou(attended, label, self.classes.foreground, boxes_yxhw).cpu()
        return slice_iou(attended, self.is_foreground(label), boxes_yxhw).cpu()


@dataclass(frozen=True)
class Scores:
    """What scoring a training set found.

    boxes: the weak slices that are kept of each image, in the order of the data set.
    windows: how many windows were judged; weak: how many of them are weak, kept or not.
    missing: mean missing weight of each stage over the foreground pixels of the images looked at for it.
    attention: the same by class and size of the object, as `rws.method.missing_weights.tabulate` gives it.
    """

    boxes: dict[str, list[Box]]
    windows: int
    weak: int
    missing: dict[str, float]
    attention: dict


def windows_of(config: SliceConfig, height: int, width: int) -> Tensor:
    """The windows of an image by the configured geometry.

    Shape: (K, 4).
    """
    if config.geometry == "released":
        return released_window_boxes(height, width)
    return torch.cat([window_boxes(height, width, size=size, step=config.step) for size in config.sizes])


@dataclass(frozen=True)
class _Score:
    """What scoring found in one image.

    missing: sums of its missing weights; None where they are not looked at.
    """

    boxes: list[Box]
    windows: int
    weak: int
    missing: Sums | None


def _score(iou: Tensor, boxes: Tensor, config: SliceConfig, missing: Sums | None) -> _Score:
    kept = weak_slices(iou, config.iou_weak_max, config.most_per_image)
    return _Score(
        boxes=[tuple(box) for box in boxes[kept].tolist()],
        windows=len(boxes),
        weak=len(weak_slices(iou, config.iou_weak_max)),
        missing=missing,
    )


def _look(scored: Scored, A: Tensor, label: Tensor) -> Sums:
    """Shape: (L, H, W) and (H, W)."""
    return group_sums(missing_weights(A).cpu().numpy(), label.cpu().numpy(), scored.classes)


def looked_at(ids: list[str], number: int | None) -> set[str]:
    """About `number` of the images, in runs of RUN that are spread evenly; all of them for None."""
    if number is None or number >= len(ids):
        return set(ids)
    runs = [ids[start : start + RUN] for start in range(0, len(ids), RUN)]
    chosen = max(1, round(number / RUN))
    return {image_id for k in range(chosen) for image_id in runs[k * len(runs) // chosen]}


def score_images(
    scored: Scored, batches: Iterable[EvalBatch], ids: list[str] | None, config: SliceConfig
) -> Scores:
    """Map every training image, and find its weak slices (METHOD steps 1 and 2).

    Batches that hold none of the images whose missing weights are reported are mapped at the last stage
    alone, by which slices are judged. Without `ids` that is all of them, and the scores come in the order of
    the batches. Of several processes each is given batches of its own, and all get what all have found.
    """
    found: dict[str, _Score] = {}
    looked = set() if ids is None else looked_at(ids, config.missing_images)
    for batch in tqdm(batches, desc="score", unit="batch", leave=False, disable=not is_first()):
        last = looked.isdisjoint(batch.ids)
        maps = scored.maps(batch.images, batch.labels, last=last).maps
        labels = batch.labels.to(scored.device)
        boxes = windows_of(config, *labels.shape[-2:])
        for image_id, A, label in zip(batch.ids, maps, labels):
            missing = _look(scored, A, label) if image_id in looked else None
            iou = scored.window_iou(A[-1], label, boxes, config)
            found[image_id] = _score(iou, boxes, config, missing)
    every = [score for part in gathered(found) for score in part.items()]
    order = {image_id: place for place, image_id in enumerate(ids or (image_id for image_id, _ in every))}
    scores = dict(sorted(every, key=lambda pair: order[pair[0]]))
    sums = [score.missing for score in scores.values() if score.missing is not None]
    attention = tabulate(sums, scored.stage_names, scored.classes)
    groups = attention["groups"]
    return Scores(
        {image_id: score.boxes for image_id, score in scores.items()},
        sum(s.windows for s in scores.values()),
        sum(s.weak for s in scores.values()),
        {name: mean_missing(groups, name) for name in scored.stage_names} if sums else {},
        attention,
    )


def select_features(
    whole: Scored,
    sliced: Scored,
    images: Iterable[SlicedImage],
    folder: Path,
    batch_size: int,
    precision: Precision = "int8",
    *,
    correct_only: bool = False,
) -> None:
    """Let the slices of each image compete and write what fusion uses into a bank (METHOD steps 3 and 4).

    With `correct_only` a winner is kept only where it finds the true class more probable. Of several
    processes each is given images of its own, and writes a shard of the bank.
    """
    if is_first():
        clear(folder)
    barrier()
    writer: BankWriter | None = None
    for item in tqdm(images, desc="select", unit="image", leave=False, disable=not is_first()):
        mapped = whole.maps(item.image[None], item.label[None], probability=correct_only)
        shapes = [tuple(f.shape[1:]) for f in mapped.features]
        best = BestSlices(mapped.maps[0], shapes)
        for part in same_size_parts(item.boxes_yxhw, batch_size):
            labels = item.slice_labels(part)
            found = sliced.maps(item.slices[part], labels, probability=correct_only)
            best.update(found.maps, item.boxes_yxhw[part].to(found.maps.device), found.features)
        if writer is None:
            channels = {name: shape[0] - correct_only for name, shape in zip(whole.stage_names, shapes)}
            channels = dict.fromkeys(channels, 1) if precision == "winner" else channels
            writer = BankWriter(folder, channels, precision, shard=rank())
        found = {}
        for stage, name in enumerate(whole.stage_names):
            rows = best.rows(stage)
            cells, n, f = only_correct(rows, mapped.features[stage][0]) if correct_only else rows
            f = best.winner[stage].flatten()[cells, None] if precision == "winner" else f
            found[name] = Rows(cells, n, f, grid=shapes[stage][1:])
        writer.add(item.image_id, found)
    if writer is not None:
        writer.close()
    barrier()
    if is_first():
        seal(folder)
    barrier()
