"""Writes a network in a format, checks the file as it was written, and only then puts it in its place."""

import os
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.predict.export.formats import AXES, FORMATS, Run, quiet
from rws.predict.export.plain import PlainNetwork, constant_padding, metadata
from rws.runs.model_file import Card

MOST_DIFFERENCE = 1e-4  # of the largest logit, or of 1
# Not 1: torch.export would take a batch of one for a constant.
EXAMPLE_BATCH = 2
# Odd, so that what depends on a size's being a multiple of something is not taken for granted.
EXAMPLE_SIZE = (97, 131)


class _Unfit(Exception):
    """This network cannot be exported so, or the file does not do as the network does."""


@dataclass(frozen=True)
class Exported:
    """What was written.

    shape: of the input, with names for what may be any number.
    difference: largest of the logits from PyTorch's, on inputs of the shapes `checked`.
    notes: why the input is not as free as it might be.
    """

    shape: tuple[int | str, ...]
    difference: float
    checked: tuple[tuple[int, ...], ...]
    notes: tuple[str, ...]


def export_network(
    network: nn.Module,
    card: Card,
    name: str,
    path: Path,
    size: tuple[int, int],
    *,
    free: Sequence[str] = tuple(AXES),
) -> Exported:
    """Write a network to `path` with as free an input as it allows; `size` (H, W) where it must be fixed.

    free: names of AXES, tried one after the other: what may be free. "nothing" is one image of `size`.

    Raises: UserError where the file cannot be written or the network not be exported; no file is left.
    """
    plain, notes = PlainNetwork(network, card), []
    _make_folder(path.parent)
    with tempfile.TemporaryDirectory(dir=path.parent, prefix=f".{path.name}.") as folder:
        made = Path(folder) / path.name
        for dynamic in free:
            try:
                shape, checked, difference = _attempt(plain, card, name, made, dynamic, size)
            except _Unfit as error:
                notes.append(f"not with any {dynamic}: {error}")
                continue
            os.replace(made, path)
            return Exported(shape, difference, checked, tuple(notes))
    raise UserError(f"{path}: {card.network} cannot be exported as {name} ({notes[-1]})")


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{folder}: cannot be made ({error.strerror}); choose another place") from None


def _attempt(
    plain: PlainNetwork, card: Card, name: str, path: Path, dynamic: str, size: tuple[int, int]
) -> tuple[tuple[int | str, ...], tuple[tuple[int, ...], ...], float]:
    """Write and check; the input's shape, the shapes checked and the largest difference.

    Raises: _Unfit, UserError for a file that cannot be written.
    """
    axes = AXES[dynamic]
    example = _image((EXAMPLE_BATCH if 0 in axes else 1, 3, *(EXAMPLE_SIZE if 2 in axes else size)))
    shape = tuple(axes.get(axis, length) for axis, length in enumerate(example.shape))
    kind = FORMATS[name]
    try:
        with quiet(), constant_padding(plain):
            kind.write(plain, example, axes, path, metadata(card, shape))
            run = kind.read(path)
    except OSError as error:
        raise UserError(f"{path.name}: cannot be written ({error.strerror or error})") from None
    except Exception as error:  # the exporters raise all sorts
        raise _Unfit(reason(error)) from None
    shapes = _shapes_to_check(axes, size)
    return shape, shapes, max(_difference(plain, run, each) for each in shapes)


def _shapes_to_check(axes: dict[int, str], size: tuple[int, int]) -> tuple[tuple[int, ...], ...]:
    batches = (1, 3) if 0 in axes else (1,)
    sizes = (size, (64, 96), (75, 118)) if 2 in axes else (size,)
    return tuple((batch, 3, *each) for each, batch in zip(sizes * 2, batches * 3))[: 3 if 2 in axes else 2]


def _image(shape: tuple[int, ...]) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def _difference(plain: PlainNetwork, run: Run, shape: tuple[int, ...]) -> float:
    """Raises: _Unfit where the file fails, or differs by more than is allowed."""
    images = _image(shape)
    with torch.no_grad():
        want = plain(images)
        try:
            with quiet():
                got = run(images)
        except Exception as error:  # of a runtime
            raise _Unfit(f"it fails on {shape} ({reason(error)})") from None
    if got.shape != want.shape:
        raise _Unfit(f"on {shape} it gives {tuple(got.shape)}")
    difference = float((got - want).abs().max())
    if not difference <= allowed_difference(want):
        raise _Unfit(f"on {shape} its logits differ by {difference:.1e}")
    return difference


def allowed_difference(logits: Tensor) -> float:
    """By how much others may differ from these logits: float32 has so many digits and no more."""
    return MOST_DIFFERENCE * max(1.0, float(logits.abs().max()))


def reason(error: Exception) -> str:
    """The first cause in a line."""
    while error.__cause__ is not None:
        error = error.__cause__
    said = " ".join(str(error).split())
    return f"{type(error).__name__}: {said[:160]}" if said else type(error).__name__
