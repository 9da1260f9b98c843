"""Steps 1 and 2, look and find, over a training set: heat maps of the images, and their weak slices."""

from collections.abc import Iterable
from dataclasses import dataclass

from torch import Tensor

from rws.config import SliceConfig
from rws.core.advantage import missing_weights
from rws.core.slices import (
    weak_slices,
    window_boxes,
)
from rws.data.boxes import Box
from rws.data.eval_images import EvalBatch
from rws.method.cams import CamNetwork
from rws.method.missing_weights import Sums, group_sums, mean_missing, tabulate
from rws.runtime.bars import tracked
from rws.runtime.distributed import gathered, is_first

RUN = 8  # images whose missing weights are looked at come in runs, so that they fill batches


@dataclass(frozen=True)
class ScoringResult:
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
    return window_boxes(height, width, size=config.size, step=config.step)


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


def _look(scored: CamNetwork, A: Tensor, label: Tensor) -> Sums:
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
    scored: CamNetwork,
    batches: Iterable[EvalBatch],
    ids: list[str] | None,
    config: SliceConfig,
    title: str = "look",
) -> ScoringResult:
    """Map every training image, and find its weak slices (METHOD steps 1 and 2).

    Batches that hold none of the images whose missing weights are reported are mapped at the last stage
    alone, by which slices are judged. Without `ids` that is all of them, and the scores come in the order of
    the batches. Of several processes each is given batches of its own, and all get what all have found.
    `title` stands before the progress bar.
    """
    found: dict[str, _Score] = {}
    looked = set() if ids is None else looked_at(ids, config.missing_images)
    for batch in tracked(batches, desc=title, unit="batch", leave=False, disable=not is_first()):
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
    return ScoringResult(
        {image_id: score.boxes for image_id, score in scores.items()},
        sum(s.windows for s in scores.values()),
        sum(s.weak for s in scores.values()),
        {name: mean_missing(groups, name) for name in scored.stage_names} if sums else {},
        attention,
    )
