"""Step 1, look: Seg-Grad-CAM of all stages from one forward and one backward pass a class."""

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.graph import GradientEdge

from rws.core.depthwise import QuickDepthwise
from rws.core.norms import FrozenNorms
from rws.core.stages import captured, evaluating, logits_of

# From a stage's features and gradients (N, C, h, w) to heat maps (N, H, W) in [0, 1] for a size (H, W).
CamMethod = Callable[[Tensor, Tensor, tuple[int, int]], Tensor]


@dataclass(frozen=True)
class StageMaps:
    """Heat maps and features of a batch, detached.

    maps: (N, L, H, W) in [0, 1]; a pixel holds the map of its own label's class, 0 where it has none.
    features: L tensors (N, C_l, H_l, W_l).
    empty: (N,) bool, True where the label holds none of the classes asked for.
    labels: (N, H, W) that the maps belong to.
    logits: (N, C, h, w) of the forward pass.
    """

    maps: Tensor
    features: tuple[Tensor, ...]
    empty: Tensor
    labels: Tensor
    logits: Tensor


def scale_to_unit(cam: Tensor) -> Tensor:
    """Shift and scale each map to [0, 1]; a constant map becomes 0.

    Shape: (..., H, W) -> (..., H, W).
    """
    cam = cam - cam.amin((-2, -1), keepdim=True)
    top = cam.amax((-2, -1), keepdim=True)
    return torch.where(top > 0, cam / top.clamp_min(torch.finfo(cam.dtype).tiny), 0.0)


def grad_cam(feature: Tensor, gradient: Tensor, size: tuple[int, int]) -> Tensor:
    """Grad-CAM of one stage: channels weighted by their mean gradient, ReLU, resized, scaled to [0, 1].

    Shape: feature and gradient (N, C, h, w) -> (N, H, W) for `size` = (H, W).
    Source: Selvaraju et al., ICCV 2017; for segmentation, Vinogradova et al., AAAI 2020.
    """
    weight = gradient.mean((-2, -1))
    return finished(torch.einsum("nc,nchw->nhw", weight, feature), size)


def finished(cam: Tensor, size: tuple[int, int]) -> Tensor:
    """What is positive of a map, resized and scaled to [0, 1]; 0 where nothing is.

    Shape: (N, h, w) -> (N, H, W) for `size` = (H, W).
    """
    # Scaled before and after: gradients of a well-trained network are tiny, and resizing rounds.
    cam = scale_to_unit(cam.relu())
    resized = F.interpolate(cam[:, None], size, mode="bilinear", align_corners=False)[:, 0]
    return scale_to_unit(resized)


def seg_grad_cam(
    network: nn.Module,
    stages: dict[str, nn.Module],
    images: Tensor,
    labels: Tensor | tuple[int, int],
    classes: Sequence[int] | None,
    most: int | None = None,
    method: CamMethod = grad_cam,
) -> StageMaps:
    """Seg-Grad-CAM of every stage for the classes of each image, in eval mode and full precision.

    The score of class c is the sum of the class-c logits over the pixels labelled c. There is one forward
    pass, and one backward pass for each further class of the image that holds most; parameters get no
    gradient, and their state and the network's mode are left as they were. `classes` are those to look for,
    None for all that the network has.

    `most` is `most_classes(labels, classes)`, for a caller who has it from the labels on the host. Without it
    that one number is read back from the device, which stops the host until the forward pass is done; nothing
    else is copied between the two. Too small a number leaves classes out.

    Another `method` makes other maps of the same features and gradients, for looking at them.

    Shape: images (N, 3, H, W); labels (N, H, W) integer, any value outside `classes` is ignored; or (H, W)
        alone, at which the network's own prediction of this forward pass takes their place.
    Raises: RuntimeError for a stage that did not run or does not lead to the logits; ValueError for a class
        that the network lacks.
    Source: METHOD step 1.
    """
    device = images.device.type
    with (
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device, enabled=False),
        _without_tf32(),
        evaluating(network),
        captured(stages, with_gradient=True) as outputs,
    ):
        images = images.clone() if images.is_inference() else images.detach()
        with FrozenNorms(), QuickDepthwise():
            logits = logits_of(network(images))
        if missing := [name for name in stages if name not in outputs]:
            raise RuntimeError(f"stage {missing[0]!r} did not run in the forward pass")
        features = tuple(outputs[name] for name in stages)
        labels = labels if isinstance(labels, Tensor) else _likeliest(logits.detach(), labels)
        classes = range(logits.shape[1]) if classes is None else classes
        try:
            return _maps(logits, features, labels, classes, most, method)
        except RuntimeError as error:
            if "not have been used in the graph" not in str(error):
                raise
            names = ", ".join(stages)
            raise RuntimeError(f"one of the stages {names} does not lead to the logits") from error


def _likeliest(logits: Tensor, size: tuple[int, int]) -> Tensor:
    """Shape: (N, C, h, w) -> (N, H, W) int64 for `size` = (H, W)."""
    return F.interpolate(logits, size, mode="bilinear", align_corners=False).argmax(1)


def _without_tf32() -> AbstractContextManager:
    """cuDNN's convolutions in full float32; the other flags as they are."""
    cudnn = torch.backends.cudnn
    return cudnn.flags(cudnn.enabled, cudnn.benchmark, deterministic=cudnn.deterministic, allow_tf32=False)


def most_classes(labels: Tensor, classes: Sequence[int]) -> int:
    """How many of the classes the label that holds most of them holds.

    Shape: (N, H, W) integer.
    """
    held = _held(labels, classes, max(classes, default=0) + 1)
    return max(held.sum(1).tolist(), default=0)


def _held(labels: Tensor, classes: Sequence[int], num_classes: int) -> Tensor:
    """Which classes are asked for and occur in each label.

    Shape: (N, H, W) -> (N, num_classes) bool.
    """
    labels = labels.long().flatten(1)
    outside = (labels < 0) | (labels >= num_classes)
    held = labels.new_zeros(len(labels), num_classes + 1, dtype=torch.bool)
    held.scatter_(1, labels.masked_fill(outside, num_classes), True)
    asked = held.new_zeros(num_classes + 1)
    for c in classes:
        asked[c].fill_(True)  # a tensor made of `classes` would be a copy to the device
    return (held & asked)[:, :-1]


def _maps(
    logits: Tensor,
    features: tuple[Tensor, ...],
    labels: Tensor,
    classes: Sequence[int],
    most: int | None,
    method: CamMethod,
) -> StageMaps:
    """Backward passes: in round r every image of the batch takes the r-th of its own classes."""
    num_classes = logits.shape[1]
    if bad := [c for c in classes if not 0 <= c < num_classes]:
        raise ValueError(f"class {bad[0]} is not one of the network's {num_classes} classes")
    held = _held(labels, classes, num_classes)
    most = max(held.sum(1).tolist(), default=0) if most is None else min(most, num_classes)
    # An image's own classes first, then -1 for the rounds that it sits out.
    every = torch.arange(num_classes, device=labels.device)
    order = torch.where(held, every, num_classes).sort(1).values
    order = torch.where(order < num_classes, order, -1)
    maps = logits.new_zeros(len(labels), len(features), *labels.shape[-2:])
    for r in range(most):
        own = order[:, r]
        target = (labels == own[:, None, None]) & (own >= 0)[:, None, None]  # (N, H, W)
        own_pixels = target.to(maps.dtype)
        gradients = _gradients(logits, features, own, target, last=r == most - 1)
        for stage, (feature, gradient) in enumerate(zip(features, gradients)):
            cam = method(feature.detach(), gradient, labels.shape[-2:])
            # Classes do not overlap: a sum of products is exact, and faster than torch.where on a CPU.
            maps[:, stage].addcmul_(cam, own_pixels)
    return StageMaps(maps, tuple(f.detach() for f in features), ~held.any(1), labels, logits.detach())


def _gradients(
    logits: Tensor, features: tuple[Tensor, ...], own: Tensor, target: Tensor, *, last: bool
) -> tuple[Tensor, ...]:
    """Gradients of each image's class score with respect to every stage's features."""
    # d(score)/d(logits) is 1 at the class's own pixels and 0 elsewhere: no score needs to be built.
    plane = target[:, None].to(logits.dtype)
    if plane.shape[-2:] != logits.shape[-2:]:
        plane = _shrunk(plane, logits.shape[-2:])
    start: Tensor | GradientEdge = logits
    node = logits.grad_fn
    enlarged = node is not None and node.name() == "UpsampleBilinear2DBackward0"
    if enlarged and all(f.grad_fn is not node for f in features):
        # Most networks enlarge their logits last. Only an image's own plane has a gradient to be shrunk.
        found = node._saved_scales_h, node._saved_scales_w
        plane = _shrunk(plane, node._saved_self_sym_sizes[-2:], node._saved_align_corners, found)
        start = GradientEdge(*node.next_functions[0])
    gradient = plane.new_zeros(len(plane), logits.shape[1], *plane.shape[-2:])
    gradient.scatter_(1, own.clamp_min(0)[:, None, None, None].expand_as(plane), plane)
    return torch.autograd.grad(start, features, gradient, retain_graph=not last)


def _shrunk(
    plane: Tensor,
    size: Sequence[int],
    align_corners: bool = False,
    scales: tuple[float | None, float | None] = (None, None),
) -> Tensor:
    """The gradient of a plane of `size` = (h, w), of one that was enlarged from it.

    Shape: (N, 1, H, W) -> (N, 1, h, w).
    """
    sizes = list(plane.shape[-2:]), [len(plane), 1, *size]
    return torch.ops.aten.upsample_bilinear2d_backward(plane, *sizes, align_corners, *scales)
