"""`rws.see`: the heat maps of all stages of any CNN in one pass."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rws.core.advantage import missing_weights
from rws.core.auto_stages import automatic_stages
from rws.core.cam import seg_grad_cam
from rws.core.stages import find_stages
from rws.errors import UserError
from rws.models.compiled import is_compiled
from rws.runtime.device import to_network


@dataclass(frozen=True)
class Maps:
    """Where each stage of a network looks.

    stages: L names of modules, early to late. attention: (N, L, H, W) in [0, 1]; a pixel holds the map of its
    own label's class, 0 where it has none. missing: (N, L, H, W), the largest attention of all stages minus
    the stage's own. labels: (N, H, W) that they belong to. logits: (N, C, h, w) of the forward pass.
    """

    stages: tuple[str, ...]
    attention: Tensor
    missing: Tensor
    labels: Tensor
    logits: Tensor


def see(
    module: nn.Module,
    images: Tensor,
    labels: Tensor | None = None,
    *,
    stages: Sequence[str] | None = None,
    classes: Sequence[int] | None = None,
) -> Maps:
    """Seg-Grad-CAM of every stage of a network, from one forward pass and one backward pass a class.

    The network is left as it is: mode, gradients and hooks.

    Args:
        module: maps images to logits, bare or as {"out": logits}.
        images: as the network takes them, normalised.
        labels: the class of each pixel, any value that is none counts nowhere; None for the network's own
            prediction.
        stages: names of modules that put out maps, early to late; None finds them.
        classes: those to look for; None for all.

    Shape: images (N, 3, H, W), labels (N, H, W) of any size; the maps have the size of the labels, without
        them that of the images. They lie on the network's device.
    Raises: UserError for a network without such modules, and for tensors of other shapes.
    """
    if is_compiled(module):
        raise UserError("see: torch.compile runs this network past its hooks; give what was compiled")
    if not isinstance(images, Tensor):
        raise UserError(f"images: needed is a tensor (N, 3, H, W), not a {type(images).__name__}")
    if images.ndim != 4 or (labels is not None and (labels.ndim != 3 or len(labels) != len(images))):
        shapes = [tuple(t.shape) for t in (images, labels) if t is not None]
        raise UserError(f"see: shapes {shapes}: needed are images (N, 3, H, W) and labels (N, H, W)")
    images = to_network(images, module)
    target = tuple(images.shape[-2:]) if labels is None else labels.to(images.device)
    try:
        names = tuple(stages or automatic_stages(module))
        found = seg_grad_cam(module, find_stages(module, names), images, target, classes)
    except (ValueError, TypeError, KeyError, RuntimeError) as error:
        if isinstance(error, torch.OutOfMemoryError):
            raise
        way_out = "" if stages else "; or name them: stages=[...]"
        raise UserError(f"{type(module).__name__}: {error.args[0]}{way_out}") from error
    return Maps(names, found.maps, missing_weights(found.maps), found.labels, found.logits)
