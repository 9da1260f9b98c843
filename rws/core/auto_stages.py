"""Finds the stages of any CNN: the last module at each resolution, seen in one forward pass."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from rws.core.stages import evaluating, logits_of

# Unequal, so that a map in the order (N, H, W, C) shows no stride that both sides have in common.
# The larger one is for networks that pool what the smaller one does not have.
SIZES = ((96, 160), (288, 480))
# What libraries call the part of a network that sees the image; of a network without one, all of it is
# searched up to where the resolution rises again.
BACKBONES = ("backbone", "encoder")
FINEST = 4  # stride from which on a module is a stage, where there are two of them at least


@dataclass(frozen=True)
class Candidate:
    """A module that could be a stage.

    stride: in input pixels; dilation: the largest among its convolutions, or those before it if it has none;
    None where it is not known.
    """

    name: str
    channels: int
    stride: int
    dilation: int | None
    chosen: bool = False


@dataclass(eq=False)
class _Call:
    """The one call of a module: when it ended, what it put out at which stride, and that of its input."""

    place: int
    output: object
    stride: int | None
    stride_before: int | None


def stride_of(output: object, size: tuple[int, int]) -> int | None:
    """The power of two by which a map (N, C, H, W) is smaller than an image, None for what is no such map."""
    if not isinstance(output, Tensor) or output.ndim != 4:
        return None
    for stride in (2**k for k in range(7)):
        if all(side in (full // stride, -(-full // stride)) for side, full in zip(output.shape[2:], size)):
            return stride
    return None


def stage_candidates(network: nn.Module) -> list[Candidate]:
    """The outermost modules, in the order in which they run, that put out one map on the way to the logits.

    Chosen is the last one of each resolution, of those with the most channels (parallel branches are thinned
    out between resolutions); where dilation stands in for a stride, the last one of each dilation.
    Those finer than stride 4 are left out if two others remain: that is the stem.

    Raises: ValueError for a network in which no two stages can be found, TypeError for one that returns no
        logits; both say what is needed.
    """
    logits, calls = _looked_through(network)
    scope = _backbone(network)
    if _is_transformer(scope, calls):
        raise ValueError(
            "its modules put out sequences of tokens (N, T, C), as a transformer's do; needed is a network "
            "whose stages put out maps (N, C, H, W)"
        )
    names = sorted(_outermost(network.get_submodule(scope), scope, calls), key=lambda name: calls[name].place)
    names = _leading_to(logits, names, calls)
    names = names if scope else _before_the_head(names, calls, logits.shape[1])
    found = _chosen(_described(network, names, calls))
    if sum(c.chosen for c in found) < 2:
        raise ValueError(
            "no two stages can be found in it; needed are modules that put out maps (N, C, H, W) at two "
            f"resolutions on the way to the logits (there are: {', '.join(names) or 'none'})"
        )
    return found


def automatic_stages(network: nn.Module) -> tuple[str, ...]:
    """The names of the stages that `stage_candidates` chooses, early to late.

    Raises: as `stage_candidates`.
    """
    return tuple(c.name for c in stage_candidates(network) if c.chosen)


def _looked_through(network: nn.Module) -> tuple[Tensor, dict[str, _Call]]:
    """The logits of one image, and the calls of all modules."""
    like = next(network.parameters(), torch.zeros(1))
    for last, size in enumerate(SIZES, start=1 - len(SIZES)):
        image = torch.zeros(1, 3, *size, device=like.device, dtype=like.dtype).requires_grad_()
        try:
            with evaluating(network), torch.enable_grad(), _recorded(network, size) as calls:
                return logits_of(network(image * 1)), calls
        except RuntimeError:
            if last == 0:
                raise
    raise AssertionError("SIZES is not empty")


@contextmanager
def _recorded(network: nn.Module, size: tuple[int, int]) -> Iterator[dict[str, _Call]]:
    """The calls of all modules in a forward pass inside the block; a module that runs twice is left out."""
    calls: dict[str, _Call] = {}
    runs: dict[str, int] = {}

    def keep(name: str):
        def hook(module: nn.Module, args: tuple, output: object) -> object:
            runs[name] = runs.get(name, 0) + 1
            # A copy of its own for each module: what leads on from one that only hands its input on (an
            # nn.Identity) does not count for what it was handed.
            output = output.clone() if isinstance(output, Tensor) else output
            before = stride_of(args[0], size) if args else None
            calls[name] = _Call(sum(runs.values()), output, stride_of(output, size), before)
            return output

        return hook

    handles = [module.register_forward_hook(keep(name)) for name, module in network.named_modules()]
    try:
        yield calls
    finally:
        for handle in handles:
            handle.remove()
        for name, times in runs.items():
            if times > 1:
                del calls[name]


def _backbone(network: nn.Module) -> str:
    """The name of the backbone, the outermost of several; "" for a network that names none."""
    names = [name for name, _ in network.named_modules() if name.rpartition(".")[2] in BACKBONES]
    return min(names, key=lambda name: name.count("."), default="")


def _outermost(module: nn.Module, name: str, calls: dict[str, _Call]) -> list[str]:
    """The outermost modules below one that put out a map and hold one stage at most.

    Opened up is what puts out no map, does not run as such (a list of modules), or coarsens more than once.
    """
    found = []
    for child_name, child in module.named_children():
        path = f"{name}.{child_name}" if name else child_name
        call = calls.get(path)
        stride = call.stride if call else None
        one_stage = stride and call.stride_before and stride <= 2 * call.stride_before
        inner = [] if one_stage else _outermost(child, path, calls)
        found += inner or ([path] if stride else [])
    return found


def _leading_to(logits: Tensor, names: list[str], calls: dict[str, _Call]) -> list[str]:
    """Those of the modules whose output the logits depend on."""
    names = [name for name in names if calls[name].output.requires_grad]
    if not names:
        return []
    gradients = torch.autograd.grad(logits.sum(), [calls[n].output for n in names], allow_unused=True)
    return [name for name, gradient in zip(names, gradients) if gradient is not None]


def _before_the_head(names: list[str], calls: dict[str, _Call], num_classes: int) -> list[str]:
    """Of a network without a named backbone: what comes before a map is enlarged or is that of the logits."""
    kept: list[str] = []
    for name in names:
        rises = kept and calls[name].stride < calls[kept[-1]].stride
        if rises or calls[name].output.shape[1] == num_classes:
            break
        kept.append(name)
    return kept


def _described(network: nn.Module, names: list[str], calls: dict[str, _Call]) -> list[Candidate]:
    found, before = [], 1
    for name in names:
        convs = [m for m in network.get_submodule(name).modules() if isinstance(m, nn.Conv2d)]
        spatial = [max(conv.dilation) for conv in convs if max(conv.kernel_size) > 1]
        before = max(spatial, default=before)
        found.append(Candidate(name, calls[name].output.shape[1], calls[name].stride, before))
    return found


def _chosen(candidates: list[Candidate]) -> list[Candidate]:
    """The same candidates, the last one of each stride and dilation chosen, sorted by both."""
    last: dict[tuple[int, int], Candidate] = {}
    for c in candidates:
        before = last.get((c.stride, c.dilation))
        if before is None or c.channels >= before.channels:
            last[c.stride, c.dilation] = c
    coarse = {key: c for key, c in last.items() if key[0] >= FINEST}
    names = {c.name for c in (coarse if len(coarse) > 1 else last).values()}
    found = [Candidate(c.name, c.channels, c.stride, c.dilation, c.name in names) for c in candidates]
    return sorted(found, key=lambda c: (c.stride, c.dilation))


def _is_transformer(scope: str, calls: dict[str, _Call]) -> bool:
    """Whether more modules put out sequences of tokens (N, T, C) than maps (N, C, H, W)."""
    outputs = [call.output for name, call in calls.items() if name.startswith(scope)]
    ndims = [output.ndim for output in outputs if isinstance(output, Tensor)]
    return ndims.count(3) > ndims.count(4)
