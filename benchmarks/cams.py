"""cam, cam-classes, cam-last, cam-dilated: heat maps of all stages, against pytorch-grad-cam and in part."""

from contextlib import nullcontext
from functools import partial
from unittest.mock import patch

import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from torch import Tensor, nn

from benchmarks.inputs import make_batch, make_network
from benchmarks.rows import Context, Row, Target, make_row
from benchmarks.timing import Samples, Work, alternate, peak_memory
from rws.core import cam as cam_module
from rws.core.cam import seg_grad_cam

# The networks with dilated depthwise convolutions, and their names in rows.
LIGHT = {
    "deeplabv3_efficientnet_lite0": "lite0",
    "deeplabv3plus_efficientnet_lite2": "lite2",
    "deeplabv3_mobilenet_v3_large": "mobilenet",
}
SIZE, TINY_SIZE = (240, 320), (64, 64)


class _Logits(nn.Module):
    """grad-cam wants a tensor."""

    def __init__(self, network: nn.Module):
        super().__init__()
        self.network = network

    def forward(self, images: Tensor) -> Tensor:
        return self.network(images)["out"]


def _peer_maps(
    network: nn.Module, stages: dict[str, nn.Module], images: Tensor, labels: Tensor, classes: list[int]
) -> None:
    """Maps of pytorch-grad-cam, used as its documentation says: one call a stage and class."""

    def class_sum(c: int, label: Tensor):
        return lambda logits: logits[c][label == c].sum()

    for module in stages.values():
        for c in classes:
            with GradCAM(_Logits(network), [module]) as peer:
                found = peer(images, [class_sum(c, label) for label in labels])
            np.where(labels.cpu().numpy() == c, found, 0)


def _first_stage_pass(network: nn.Module, first: nn.Module, images: Tensor, labels: Tensor, c: int) -> None:
    """One forward pass and one backward pass that ends at the first stage: what no method can do without."""
    kept: list[Tensor] = []

    def leaf(module: nn.Module, args: tuple, output: Tensor) -> Tensor:
        kept.append(output.detach().requires_grad_())
        return kept[0].clone()  # the next block's ReLU works in place

    handle = first.register_forward_hook(leaf)
    try:
        logits = network(images)["out"]
        seed = torch.zeros_like(logits)
        seed[:, c] = (labels == c).to(seed.dtype)
        torch.autograd.grad(logits, kept, seed)
    finally:
        handle.remove()


def _case(context: Context, batch: int, classes: int, *, channels_last: bool = True) -> tuple[dict, tuple]:
    size = TINY_SIZE if context.tiny else SIZE
    sizes = {
        "batch": batch,
        "height": size[0],
        "width": size[1],
        "classes": classes,
        "network": context.network,
    }
    network, stages = make_network(context.device, context.network, channels_last=channels_last)
    return sizes, (network.eval(), stages, *make_batch(batch, size, classes, context.device))


def _against_grad_cam(
    context: Context, name: str, batch: int, classes: int, repeats: int, target: Target | None
) -> Row:
    """Ours, channels_last as in our runs, against the peer on the network as torchvision builds it.

    Without a target the peer's network is channels_last, too: what is left is the method's own gain.
    """
    sizes, case = _case(context, batch, classes)
    _, peer = _case(context, batch, classes, channels_last=target is None)
    samples = alternate(
        lambda: seg_grad_cam(*case),
        lambda: _peer_maps(*peer),
        repeats,
        context.device,
        warm_up=batch == 1,
        rehearse=True,
    )
    layout = "channels_last" if target is None else "contiguous"
    note = f"peer: pytorch-grad-cam, a call for each stage, network {layout}"
    return make_row(name, samples, target, sizes, note=note)


def _against_bound(context: Context, name: str, batch: int, repeats: int) -> Row:
    """Ours against one forward and one backward pass, parameters frozen on both sides."""
    sizes, case = _case(context, batch, 1)
    network, stages, images, labels, (c,) = case
    network.requires_grad_(False)
    first = next(iter(stages.values()))
    samples = alternate(
        lambda: seg_grad_cam(*case),
        lambda: _first_stage_pass(network, first, images, labels, c),
        repeats,
        context.device,
    )
    note = "peer: one forward and one backward pass to the first stage"
    return make_row(name, samples, Target("at most", 1.1), sizes, note=note)


def cam(context: Context) -> list[Row]:
    """One class, batches of 1 and 8."""
    rows = []
    for batch, target in ((1, 7), (2 if context.tiny else 8, 8 if context.device.type == "cuda" else 9)):
        repeats = context.repeats if batch == 1 else context.few(3)
        goal = Target("at least", target)
        rows.append(_against_grad_cam(context, f"cam-{batch}", batch, 1, repeats, goal))
        rows.append(_against_grad_cam(context, f"cam-{batch}-same-format", batch, 1, context.few(2), None))
        rows.append(_against_bound(context, f"cam-{batch}-bound", batch, repeats))
    return rows


def cam_last(context: Context) -> list[Row]:
    """Maps of the last stage alone, which scoring needs, against those of all stages: one class and many."""
    rows = []
    for classes in (1, 2 if context.tiny else 6):
        sizes, (network, stages, *batch) = _case(context, 1, classes)
        last = dict([list(stages.items())[-1]])
        samples = alternate(
            partial(seg_grad_cam, network, last, *batch),
            partial(seg_grad_cam, network, stages, *batch),
            context.repeats,
            context.device,
        )
        note = "peer: ours for all stages"
        rows.append(make_row(f"cam-last-{classes}", samples, None, sizes, note=note))
    return rows


def cam_dilated(context: Context) -> list[Row]:
    """Maps of the light networks with the quick gradient of dilated depthwise convolutions, and without."""
    size, batch, classes = (TINY_SIZE, 1, 2) if context.tiny else ((192, 256), 4, 9)
    rows = []
    for name, said in LIGHT.items():
        network, stages = make_network(context.device, name)
        case = (network.eval(), stages, *make_batch(batch, size, classes, context.device))
        samples = alternate(
            partial(seg_grad_cam, *case), partial(_usual_gradient, *case), context.repeats, context.device
        )
        sizes = {
            "batch": batch,
            "height": size[0],
            "width": size[1],
            "classes": classes,
            "network": name,
        }
        note = "all stages; peer: with the gradient of torch"
        rows.append(make_row(f"cam-dilated-{said}", samples, None, sizes, note=note))
    return rows


def _usual_gradient(*case: object) -> None:
    with patch.object(cam_module, "QuickDepthwise", nullcontext):
        seg_grad_cam(*case)


def prepare_maps(device: str, name: str, size: tuple[int, int], classes: int) -> Work:
    """Maps of one image, as work for `peak_memory`; with no classes the network and the image alone."""
    network, stages = make_network(torch.device(device), name)
    images, labels, present = make_batch(1, size, classes, torch.device(device))
    if not present:
        return lambda: None
    return lambda: seg_grad_cam(network, stages, images, labels, present)


def cam_classes(context: Context) -> list[Row]:
    """Six classes in one image: time against the peer, peak memory against that of one class."""
    classes = 2 if context.tiny else 6
    goal = Target("at least", 6)
    timed = _against_grad_cam(context, "cam-classes", 1, classes, context.few(3), goal)
    size = (timed.sizes["height"], timed.sizes["width"])
    kind = context.device.type
    peaks = [
        [float(peak_memory(prepare_maps, kind, context.network, size, n, device=context.device))]
        for n in (classes, 1, 0)
    ]
    ours, peer, network = (peak[0] for peak in peaks)
    figures = {"network": network, "ratio_without_network": (ours - network) / (peer - network)}
    goal = Target("at most", 1.5)
    note = f"peak memory with {classes} classes; peer: with one class; network included"
    memory = make_row(
        "cam-classes-memory", Samples(*peaks[:2]), goal, timed.sizes, "bytes", note=note, figures=figures
    )
    return [timed, memory]
