"""refine: what lies between the heat maps and the bank, for one image, against plain loops over pixels."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from benchmarks import selecting_loop as loop
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, alternate
from rws.core.advantage import BestSlices
from rws.core.slices import slice_iou, window_boxes

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
    """Each pixel takes the map of its own class: (..., R, L, h, w) and (..., h, w) -> (..., L, h, w)."""
    out = cams.new_zeros(*cams.shape[:-4], *cams.shape[-3:])
    for r, c in enumerate(CLASSES):
        # Classes do not overlap: a sum of products is exact, and faster than torch.where on a CPU.
        out.addcmul_(cams[..., r, :, :, :], (label == c).unsqueeze(-3).to(cams.dtype))
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


def refine_loops(
    case: Case, elements: Callable[[np.ndarray], loop.Maps]
) -> tuple[list[float], list[tuple[Tensor, Tensor, np.ndarray]]]:
    """The same by plain loops; every slice is masked once, as every slice has its own maps.

    elements: `torch.from_numpy` has IoU and selection read tensors, as the tests do; `np.asarray` has them
    read arrays, which is faster.
    """
    cams, label, slice_cams, slice_labels = (
        t.cpu().numpy() for t in (case.cams, case.label, case.slice_cams, case.slice_labels)
    )
    A = loop.mask(cams, label, CLASSES)
    a = np.stack([loop.mask(slice_cams[place], slice_labels[place], CLASSES) for place in case.places])
    boxes = case.boxes.tolist()
    attended, front = elements(A[-1] > 0), elements((label == 1) | (label == 2))
    found = [loop.iou(attended, front, box) for box in boxes]
    A, a, stages = elements(A), elements(a), []
    for stage, f in enumerate(f.cpu().numpy() for f in case.features):
        n, winner, _ = loop.select(A, a, boxes, stage, f.shape[2:])
        rows = loop.features(f, boxes, case.places, winner.numpy(), tuple(A.shape[1:]))
        stages.append((torch.nonzero(winner.flatten() >= 0).flatten(), n[winner >= 0], rows))
    return found, stages


def check_equal(ours: tuple, peer: tuple) -> None:
    """Raises: AssertionError where the two differ by more than float32 rounding."""
    np.testing.assert_allclose(ours[0].cpu(), peer[0], rtol=0, atol=1e-12)
    for (cells, n, f), (peer_cells, peer_n, peer_f) in zip(ours[1], peer[1]):
        np.testing.assert_array_equal(cells.cpu(), peer_cells)
        np.testing.assert_allclose(n.cpu(), peer_n, rtol=0, atol=1e-6)
        np.testing.assert_allclose(f.cpu(), peer_f, rtol=1e-4, atol=1e-4)


def _against_loops(case: Case, elements: Callable[[np.ndarray], loop.Maps], context: Context) -> Samples:
    """Times of the loops, after which their result is compared with ours."""
    results = []
    # The loops take long enough to need no warm-up.
    pairs = alternate(
        lambda: refine_ours(case),
        lambda: results.append(refine_loops(case, elements)),
        context.few(1),
        context.device,
        warm_up=False,
    )
    check_equal(refine_ours(case), results[0])
    return pairs


def _rows(context: Context, name: str, boxes: Tensor, size: tuple[int, int], stages: tuple) -> list[Row]:
    case = make_case(boxes, size, stages, context.device)
    tensors, arrays = (_against_loops(case, kind, context) for kind in (torch.from_numpy, np.asarray))
    alone = alternate(lambda: refine_ours(case), lambda: None, context.repeats * 4, context.device).ours
    sizes = {"height": size[0], "width": size[1], "windows": len(boxes), "classes": len(CLASSES)}
    sizes["stages"] = [list(f.shape[1:]) for f in case.features]
    shares = [
        round(len(cells) / (f.shape[2] * f.shape[3]), 3)
        for (cells, *_), f in zip(refine_ours(case)[1], case.features)
    ]
    more = {"figures": {"fused_share": shares}}
    oracle = "peer: the plain loops of the tests, over elements of tensors; results equal"
    faster = "peer: the same loops over elements of numpy arrays; results equal"
    return [
        make_row(name, Samples(alone, tensors.peer), Target("at least", 300), sizes, note=oracle, **more),
        make_row(f"{name}-arrays", Samples(alone, arrays.peer), None, sizes, note=faster, **more),
        make_row(f"{name}-absolute", Samples(alone, []), Target("at most", 0.06, "ours"), sizes, **more),
    ]


def refine(context: Context) -> list[Row]:
    """The 25 windows of the released script and the 36 that cover the image."""
    size, stages = (TINY_SIZE, TINY_STAGES) if context.tiny else (SIZE, STAGES)
    rows = _rows(context, "refine-25", loop.released_window_boxes(*size), size, stages)
    return rows + _rows(context, "refine-36", window_boxes(*size), size, stages)
