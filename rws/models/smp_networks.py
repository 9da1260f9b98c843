"""Networks of segmentation_models_pytorch, `smp:<Architecture>:<encoder>`; the optional extra `smp`."""

import difflib
import importlib
from collections.abc import Callable
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.models.family import IMAGENET_MEAN, IMAGENET_STD, Family, not_installed
from rws.models.same_size import in_eval, same_size, trial_size
from rws.models.timm_backbones import require_encoder

FORM = "smp:<Architecture>:<encoder>"


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module("segmentation_models_pytorch")
    except ImportError as error:
        raise not_installed(name, "segmentation-models-pytorch", "smp") from error


def architectures(smp: ModuleType) -> dict[str, type[nn.Module]]:
    """The architectures of the package by name."""
    known = (value for value in vars(smp).values() if isinstance(value, type))
    return {cls.__name__: cls for cls in known if issubclass(cls, smp.base.SegmentationModel)}


def smp_family(name: str) -> Family:
    """The family `smp:<Architecture>:<encoder>`, whose stages are found automatically.

    `auto` weights are the package's ImageNet weights of the encoder, which it downloads.

    Raises:
        UserError: the package is missing, or knows no such architecture or encoder.
    """
    smp = _package(name)
    _, architecture, encoder = (*name.split(":", 2), "")[:3]
    known = architectures(smp)
    _require(name, "architecture", architecture, list(known))
    if encoder.startswith("tu-"):
        require_encoder(name, encoder.removeprefix("tu-"), FORM)
    else:
        _require(name, "encoder", encoder, smp.encoders.get_encoder_names())
    mean, std = _statistics(encoder)
    return Family(
        partial(_build, name, known[architecture], encoder),
        mean=mean,
        std=std,
        packaged=partial(_imagenet, smp, name, known[architecture], encoder),
    )


def _require(name: str, what: str, value: str, known: list[str]) -> None:
    if value not in known:
        near = difflib.get_close_matches(value, known, n=1, cutoff=0.0)[0]
        listed = f"; the {what}s are {', '.join(known)}" if what == "architecture" else ""
        raise UserError(
            f"--model.name {name}: no {what} {value!r}; did you mean {near}? The form is {FORM}{listed}"
        )


def _build(name: str, architecture: type[nn.Module], encoder: str, num_classes: int, aux: bool) -> nn.Module:
    """Without an auxiliary head, whether one is asked for or not: the package's networks have none.

    Raises: UserError for an encoder that does not go with it, or that takes images of some sizes alone.
    """
    make = partial(architecture, encoder_name=encoder, encoder_weights=None, classes=num_classes)
    try:
        network = _of_any_size(make) if encoder.startswith("tu-") else make()
    except Exception as error:  # what an architecture does not support ends in nearly any type
        raise UserError(
            f"--model.name {name}: {architecture.__name__} cannot be built on this encoder "
            f"({' '.join(str(error).split())}); choose another encoder"
        ) from error
    needed = getattr(network, "requires_divisible_input_shape", True)
    least = network.encoder.output_stride if needed else 1
    return same_size(network, _multiple(name, network, least) if encoder.startswith("tu-") else least)


@torch.no_grad()
def _multiple(name: str, network: nn.Module, least: int) -> int:
    """What the sides of the images must be multiples of: `least`, the encoder's stride, or twice that (DPT).

    Raises: UserError for a network that does not take any size, as some transformers do not.
    """
    stride = network.encoder.output_stride
    for multiple in dict.fromkeys((least, stride, 2 * stride)):
        try:
            with in_eval(network):
                network(torch.zeros(1, 3, *trial_size(multiple)))
            return multiple
        except Exception as error:  # of a library's network, in any type
            last = error
    raise UserError(
        f"--model.name {name}: the encoder does not take images of any size "
        f"({' '.join(str(last).split())}); choose another one, such as tu-vit_base_patch16_224 or mit_b0"
    ) from last


def _of_any_size(make: Callable[..., nn.Module]) -> nn.Module:
    """A network whose transformer of timm, if it has one, takes other sizes than that of its weights."""
    try:
        return make(dynamic_img_size=True)
    except TypeError:  # an encoder that has no such setting
        return make()


def _statistics(encoder: str) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Mean and deviation of the images that the encoder's ImageNet weights expect.

    The package would fetch them from the net; they depend on little, and must be the same in prediction.
    Source: the model cards of the weights, and timm's constants.
    """
    timm = importlib.import_module("timm")  # which the package itself needs
    if encoder.startswith("tu-") and (known := timm.get_pretrained_cfg(encoder.removeprefix("tu-"))):
        return known.mean, known.std
    if "inception" in encoder or encoder == "xception":
        return timm.data.IMAGENET_INCEPTION_MEAN, timm.data.IMAGENET_INCEPTION_STD
    if encoder.startswith("dpn"):
        return timm.data.IMAGENET_DPN_MEAN, timm.data.IMAGENET_DPN_STD
    return IMAGENET_MEAN, IMAGENET_STD


def _imagenet(
    smp: ModuleType, name: str, architecture: type[nn.Module], encoder: str
) -> tuple[str, dict[str, Tensor]]:
    """ImageNet weights of an encoder under the network's keys, and where they are from."""
    try:
        if architecture.__name__ == "DPT":  # which has its own way to wrap an encoder
            made = architecture(encoder_name=encoder, encoder_weights="imagenet").encoder
        else:
            made = smp.encoders.get_encoder(encoder, weights="imagenet")
        state = made.state_dict()
    except (KeyError, ValueError) as error:
        raise UserError(
            f"--model.name {name}: the package has no ImageNet weights of {encoder}; pass --model.weights "
            "none to train from scratch, or a file"
        ) from error
    except Exception as error:  # no network, a proxy, a full disk: the package's loaders raise all sorts
        raise UserError(
            f"--model.name {name}: the ImageNet weights of {encoder} cannot be downloaded "
            f"({type(error).__name__}); check the connection, or pass --model.weights none or a file"
        ) from error
    return f"the ImageNet weights of {encoder}", {f"encoder.{key}": value for key, value in state.items()}
