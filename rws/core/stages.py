"""Stage names -> modules, channels and strides, for any CNN."""

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class StageInfo:
    """What a stage puts out: its name, channels, and stride in input pixels."""

    name: str
    channels: int
    stride: int


def find_stages(network: nn.Module, names: Sequence[str]) -> dict[str, nn.Module]:
    """The modules of a network by their names, in the order given.

    Raises: KeyError naming the missing stage, the nearest names and the network's outer modules.
    """
    modules = dict(network.named_modules())
    for name in names:
        if name not in modules or name == "":
            near = difflib.get_close_matches(name, modules, n=3)
            outer = [m for m in modules if m and m.count(".") <= 1]
            hint = f"; did you mean {' or '.join(near)}?" if near else ""
            raise KeyError(f"the network has no stage {name!r}{hint} It has: {', '.join(outer)}")
    return {name: modules[name] for name in names}


@contextmanager
def evaluating(network: nn.Module) -> Iterator[None]:
    """Eval mode with frozen parameters inside the block; each module's own state is restored after it."""
    training = [m for m in network.modules() if m.training]
    learnt = [p for p in network.parameters() if p.requires_grad]
    network.eval()
    for p in learnt:
        p.requires_grad_(False)
    try:
        yield
    finally:
        for m in training:
            m.training = True
        for p in learnt:
            p.requires_grad_(True)


@contextmanager
def captured(stages: dict[str, nn.Module], *, with_gradient: bool = False) -> Iterator[dict[str, Tensor]]:
    """The outputs of the stages of a forward pass run inside the block, by stage name.

    With `with_gradient` an output that nothing upstream makes differentiable becomes a leaf, so that
    gradients reach it even in a network whose parameters are all frozen.

    Raises: TypeError for a stage that puts out no single tensor, RuntimeError for one that runs twice.
    """
    outputs: dict[str, Tensor] = {}

    def keep(name: str):
        def hook(module: nn.Module, args: tuple, output: Tensor) -> Tensor | None:
            if not isinstance(output, Tensor):
                raise TypeError(f"stage {name!r} puts out a {type(output).__name__}, not a tensor")
            if name in outputs:
                raise RuntimeError(f"stage {name!r} ran twice in one forward pass; name a module inside it")
            if with_gradient and not output.requires_grad:
                output = output.detach().requires_grad_()
            outputs[name] = output
            # The network goes on with a copy: an in-place ReLU after the stage must not touch what is kept.
            return output.clone() if with_gradient else None

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in stages.items()]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()


def logits_of(output: Tensor | dict[str, Tensor]) -> Tensor:
    """The logits of a network that returns them bare or as {"out": logits}.

    Raises: TypeError for anything else.
    """
    logits = output.get("out") if isinstance(output, dict) else output
    if not isinstance(logits, Tensor):
        raise TypeError(f'the network returns {type(output).__name__}; needed: logits or {{"out": logits}}')
    return logits


class _Enough(Exception):
    """Every stage has run."""


def stage_features(network: nn.Module, stages: dict[str, nn.Module], images: Tensor) -> dict[str, Tensor]:
    """The outputs of the stages in eval mode, without gradients; what comes after the last one does not run.

    Shape: (N, 3, H, W) -> (N, C_l, H_l, W_l) by stage name.
    """
    waited = set(stages)

    def leave(name: str):
        def hook(module: nn.Module, args: tuple, output: Tensor) -> None:
            waited.discard(name)
            if not waited:
                raise _Enough

        return hook

    with evaluating(network), torch.no_grad(), captured(stages) as outputs:
        handles = [module.register_forward_hook(leave(name)) for name, module in stages.items()]
        try:
            network(images)
        except _Enough:
            pass
        finally:
            for handle in handles:
                handle.remove()
    return outputs


def stage_shapes(
    network: nn.Module, names: Sequence[str], size: tuple[int, int]
) -> dict[str, tuple[int, int, int]]:
    """(C_l, H_l, W_l) of each stage for images of `size` = (H, W), read off one forward pass of zeros."""
    like = next(network.parameters())
    image = torch.zeros(1, 3, *size, device=like.device, dtype=like.dtype)
    outputs = stage_features(network, find_stages(network, names), image)
    return {name: tuple(outputs[name].shape[1:]) for name in names}


def stage_infos(
    network: nn.Module, names: Sequence[str], size: tuple[int, int] = (64, 64)
) -> list[StageInfo]:
    """Channels and strides of the stages."""
    shapes = stage_shapes(network, names, size)
    return [StageInfo(name, c, round(size[0] / h)) for name, (c, h, _) in shapes.items()]
