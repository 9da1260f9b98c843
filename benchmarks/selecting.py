"""refine: what lies between the heat maps and the bank, for one image, against plain loops over pixels."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks import selecting_loop as loop
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, alternate
from rws.core.advantage import BestSlices
from rws.core.slices import released_window_boxes, slice_iou, window_boxes

SIZE, TINY_SIZE = (375, 500), (48, 64)
CHUNK = 4  # slices a batch, the default eval_batch_size; their maps and features are used again by each batch
CLASSES = [1, 2]
# Channels and strides of ResNet-50's stages in DeepLabv3.
STAGES, TINY_STAGES = ((256, 4), (512, 8), (1024, 8), (2048, 8)), ((4, 4), (6, 8), (8, 8), (8, 8))


@dataclass(frozen=True)
class Case:
    """One image before masking.

    cams: (R, L, H, W) maps of its classes; label: (H, W); boxes: (K, 4); slice_cams: (CHUNK, R, L, h, w);
    slice_labels: (CHUNK, h, w); features: L tensors (CHUNK, C_l, H_l, W_l), channels last as networks give
    them.
    """

    cams: Tensor
    label: Tensor
    boxes: Tensor
    slice_cams: Tensor
    slice_labels: Tensor
    features: tuple[Tensor, ...]

    @property
    def places(self) -> list[int]:
        """Which of the CHUNK maps each box uses."""
        return [k % CHUNK for k in range(len(self.boxes))]


def make_case(boxes: Tensor, size: tuple[int, int], stages: tuple, device: torch.device) -> Case:
    """Random maps with zeros, as ReLU leaves them; labels with background, two classes and ignored pixels."""
    generator = torch.Generator().manual_seed(3)
    h, w = boxes[0, 2:].tolist()

    def maps(*shape: int) -> Tensor:
        return (torch.rand(*shape, generator=generator) * 1.4 - 0.4).clamp_min(0)

    def labels(*shape: int) -> Tensor:
        return torch.tensor([0, 1, 2, 255])[torch.randint(4, shape, generator=generator)]

    features = [
        torch.randn(CHUNK, c, -(-size[0] // s), -(-size[1] // s), generator=generator) for c, s in stages
    ]
    r, n = len(CLASSES), len(stages)
    parts = maps(r, n, *size), labels(*size), boxes, maps(CHUNK, r, n, h, w), labels(CHUNK, h, w)
    features = tuple(f.to(device, memory_format=torch.channels_last) for f in features)
    return Case(*(p.to(device) for p in parts), features)


def _masked(cams: Tensor, label: Tensor) -> Tensor:
    """As rws.core.cam does it: (..., R, L, h, w) and (..., h, w) -> (..., L, h, w)."""
    out = cams.new_zeros(*cams.shape[:-4], *cams.shape[-3:])
    for r, c in enumerate(CLASSES):
        out = torch.where((label == c).unsqueeze(-3), cams[..., r, :, :, :], out)
    return out


def refine_ours(case: Case) -> tuple[Tensor, list[tuple[Tensor, Tensor, Tensor]]]:
    """IoU of every window, and cells, n and f of every stage."""
    A = _masked(case.cams, case.label)
    front = (case.label == 1) | (case.label == 2)
    iou = slice_iou(A[-1] > 0, front, case.boxes)
    best = BestSlices(A, [tuple(f.shape[1:]) for f in case.features])
    for start in range(0, len(case.boxes), CHUNK):
        boxes = case.boxes[start : start + CHUNK]
        a = _masked(case.slice_cams, case.slice_labels)[: len(boxes)]
        best.update(a, boxes, tuple(f[: len(boxes)] for f in case.features))
    return iou, [best.rows(stage) for stage in range(len(case.features))]


def refine_loops(case: Case) -> tuple[list[float], list[tuple[np.ndarray, np.ndarray, np.ndarray]]]:
    """The same by plain loops; every slice is masked once, as every slice has its own maps."""
    numpy = [t.cpu().numpy() for t in (case.cams, case.label, case.slice_cams, case.slice_labels)]
    features = [f.cpu().numpy() for f in case.features]
    cams, label, slice_cams, slice_labels = numpy
    A = loop.mask(cams, label, CLASSES)
    boxes = [tuple(box) for box in case.boxes.tolist()]
    front, attended = (label == 1) | (label == 2), A[-1] > 0
    found = [loop.iou(attended, front, box) for box in boxes]
    masked = [loop.mask(slice_cams[place], slice_labels[place], CLASSES) for place in case.places]
    a = np.stack(masked[:CHUNK])
    return found, [loop.select(A, a, boxes, case.places, stage, f) for stage, f in enumerate(features)]


def check_equal(ours: tuple, peer: tuple) -> None:
    """Raises: AssertionError where the two differ by more than float32 rounding."""
    np.testing.assert_allclose(ours[0].cpu(), peer[0], rtol=0, atol=1e-12)
    for (cells, n, f), (peer_cells, peer_n, peer_f) in zip(ours[1], peer[1]):
        np.testing.assert_array_equal(cells.cpu(), peer_cells)
        np.testing.assert_allclose(n.cpu(), peer_n, rtol=0, atol=1e-6)
        np.testing.assert_allclose(f.cpu(), peer_f, rtol=1e-4, atol=1e-4)


def _rows(context: Context, name: str, boxes: Tensor, size: tuple[int, int], stages: tuple) -> list[Row]:
    case = make_case(boxes, size, stages, context.device)
    # The loops take long enough to need no warm-up; ours gets one, and its result is compared.
    result, results = refine_ours(case), []
    pairs = alternate(
        lambda: refine_ours(case),
        lambda: results.append(refine_loops(case)),
        context.few(1),
        context.device,
        warm_up=False,
    )
    check_equal(result, results[0])
    alone = alternate(lambda: refine_ours(case), lambda: None, context.repeats * 4, context.device)
    sizes = {"height": size[0], "width": size[1], "windows": len(boxes), "classes": len(CLASSES)}
    sizes["stages"] = [list(f.shape[1:]) for f in case.features]
    shares = [
        round(len(cells) / (f.shape[2] * f.shape[3]), 3) for (cells, *_), f in zip(result[1], case.features)
    ]
    more = {"figures": {"fused_share": shares}}
    note = "peer: plain loops over numpy elements, results equal"
    return [
        make_row(name, Samples(alone.ours, pairs.peer), Target("at least", 300), sizes, note=note, **more),
        make_row(f"{name}-absolute", Samples(alone.ours, []), Target("at most", 0.06, "ours"), sizes, **more),
    ]


def refine(context: Context) -> list[Row]:
    """The 25 windows of the released script and the 36 that cover the image."""
    size, stages = (TINY_SIZE, TINY_STAGES) if context.tiny else (SIZE, STAGES)
    rows = _rows(context, "refine-25", released_window_boxes(*size), size, stages)
    return rows + _rows(context, "refine-36", window_boxes(*size), size, stages)
