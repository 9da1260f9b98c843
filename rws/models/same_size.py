"""Makes any network return {"out": logits} at the size of its input, without a change of its state_dict."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MULTIPLES = (1, 2, 4, 8, 16, 32, 64)


def trial_size(multiple: int) -> tuple[int, int]:
    """Sides that are odd multiples of a number, so that a network that needs more refuses; unequal ones."""
    return multiple * max(1, 96 // multiple | 1), multiple * max(3, 160 // multiple | 1)


TRIALS = {multiple: trial_size(multiple) for multiple in MULTIPLES}


class SameSize:
    """Goes before a network's own class; see `same_size`."""

    size_multiple = 1
    notes: tuple[str, ...] = ()  # what a person should know of the network before it is trained
    # Architectures of other libraries may hold layers that they do not use.
    may_leave_parameters_unused = True

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        size = images.shape[-2:]
        output = super().forward(_resized(images, nearest_size(size, self.size_multiple)))
        maps = output if isinstance(output, dict) else {"out": output}
        return {
            name: _resized(logits, size) if name in ("out", "aux") else logits
            for name, logits in maps.items()
        }


def size_multiple(network: nn.Module) -> int:
    """What the sides of a network's images should be multiples of, so that they are not resized once more."""
    return getattr(network, "size_multiple", SameSize.size_multiple)


def nearest_size(size: tuple[int, int], multiple: int) -> tuple[int, int]:
    """The nearest sides that are multiples, one multiple at least."""
    # round(side / multiple), a half to the even one, in whole numbers: an exported network computes it too.
    whole = ((2 * side + multiple - 1 + side // multiple % 2) // (2 * multiple) for side in size)
    return tuple(max(number, 1) * multiple for number in whole)


def _resized(maps: Tensor, size: tuple[int, int]) -> Tensor:
    # An exported network must resize whatever its example's size was.
    exporting = torch.compiler.is_compiling() or torch.jit.is_tracing()
    if not exporting and maps.shape[-2:] == size:
        return maps
    return F.interpolate(maps, size, mode="bilinear", align_corners=False)


def same_size(network: nn.Module, multiple: int = 1, notes: tuple[str, ...] = ()) -> nn.Module:
    """Make a network return {"out": logits} at the size of its input, whatever that is.

    The network itself is changed and returned: it stays an instance of its class, its modules keep their
    names and its state_dict its keys, so that the same class loads the weights elsewhere. Where its sides
    must be multiples of a number, other images are resized to the nearest such size and the logits back.
    They are not padded: heat maps, slices and fusion rely on the cells of every stage to tile the image.
    One that was given before is given again, with the larger multiple and the notes of both times.

    Shape: (N, 3, H, W) -> {"out": (N, C, H, W)}, and "aux" where the network returns it.
    """
    own = type(network)
    bases = (SameSize, own)
    if isinstance(network, SameSize):
        bases, multiple = (own,), max(multiple, network.size_multiple)
        notes = tuple(dict.fromkeys((*network.notes, *notes)))
    network.__class__ = type(own.__name__, bases, {"size_multiple": multiple, "notes": notes})
    return network


@torch.no_grad()
def needed_multiple(network: nn.Module) -> tuple[int, object]:
    """The smallest of MULTIPLES that the sides of a network's images must be multiples of, found by trying.

    Returned with what the network put out for a first image, in eval mode.

    Raises: what the network raised at first, if it takes no image at all.
    """
    first: Exception | None = None
    with in_eval(network):
        for multiple, size in TRIALS.items():
            try:
                return multiple, network(torch.zeros(1, 3, *size))
            except Exception as error:  # sizes that do not fit fail in any way
                first = first or error
    raise first


@contextmanager
def in_eval(network: nn.Module) -> Iterator[None]:
    """Eval mode inside the block; each module's own mode is restored after it."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    try:
        yield
    finally:
        for module, mode in modes:
            module.training = mode
