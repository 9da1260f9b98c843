"""DeepLabv3 on a backbone of timm, `timm:<encoder>`; the optional extra `timm`.

Source: L.-C. Chen et al., "Rethinking Atrous Convolution for Semantic Image Segmentation", 2017 (the head,
and dilation in place of stride, which timm does itself where the encoder allows it).
"""

import difflib
import importlib
from functools import partial
from types import ModuleType

from torch import Tensor, nn
from torchvision.models.segmentation.deeplabv3 import DeepLabHead, DeepLabV3
from torchvision.models.segmentation.fcn import FCNHead

from rws.errors import UserError
from rws.models.family import Family, not_installed
from rws.models.same_size import needed_multiple, same_size

FORM = "timm:<encoder>"
OUTPUT_STRIDE = 16  # of encoders that can be dilated
ATROUS_RATES = {8: (12, 24, 36), 16: (6, 12, 18), 32: (3, 6, 9)}


class Backbone(nn.Module):
    """The feature maps of a timm encoder as torchvision's heads want them.

    Shape: (N, 3, H, W) -> {"aux": the last map but one, "out": the last}.
    """

    def __init__(self, features: nn.Module) -> None:
        super().__init__()
        self.features = features

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        *_, aux, out = self.features(images)
        return {"aux": aux, "out": out}


def _package(name: str) -> ModuleType:
    try:
        return importlib.import_module("timm")
    except ImportError as error:
        raise not_installed(name, "timm", "timm") from error


def timm_family(name: str) -> Family:
    """The family `timm:<encoder>`, whose stages are found automatically.

    `auto` weights are those with which timm publishes the encoder, which it downloads.

    Raises:
        UserError: the package is missing or knows no such encoder.
    """
    timm = _package(name)
    encoder = name.split(":", 1)[1]
    require_encoder(name, encoder)
    pretrained = timm.get_pretrained_cfg(encoder)
    statistics = {"mean": pretrained.mean, "std": pretrained.std} if pretrained else {}
    return Family(
        partial(_build, timm, name), **statistics, packaged=partial(_pretrained, timm, name, pretrained)
    )


def require_encoder(name: str, encoder: str, form: str = FORM) -> None:
    """Refuse what timm does not know itself: it would fetch `hf-hub:...` and read `local-dir:...`.

    Raises:
        UserError: timm has no such encoder, or no such weights of it.
    """
    timm = _package(name)
    architecture, _, tag = encoder.partition(".")
    if not timm.is_model(architecture):
        near = difflib.get_close_matches(architecture, timm.list_models(), n=1, cutoff=0.0)[0]
        raise UserError(
            f"--model.name {name}: timm has no encoder {encoder!r}; did you mean {near}? The form is {form}; "
            "timm.list_models() lists all"
        )
    try:
        timm.get_pretrained_cfg(encoder)
    except RuntimeError as error:
        raise UserError(
            f"--model.name {name}: timm has no weights {tag!r} of {architecture}; leave them out, or take "
            f"some of timm.list_pretrained('{architecture}.*')"
        ) from error


def _features(timm: ModuleType, name: str, pretrained: bool = False) -> nn.Module:
    """The encoder, dilated to OUTPUT_STRIDE where it can be.

    Raises:
        UserError: an encoder that gives no feature maps.
    """
    encoder, last = name.split(":", 1)[1], None
    for more in ({"output_stride": OUTPUT_STRIDE}, {}):
        try:
            return timm.create_model(encoder, pretrained=pretrained, features_only=True, **more)
        except (OSError, ImportError):
            raise
        except Exception as error:  # an encoder that cannot be dilated, or has no features_only
            last = error
    raise UserError(
        f"--model.name {name}: timm gives no feature maps of this encoder ({' '.join(str(last).split())}); "
        "choose a convolutional one, such as resnet50, convnext_tiny or efficientnet_b0"
    ) from last


def _build(timm: ModuleType, name: str, num_classes: int, aux: bool) -> nn.Module:
    features = _features(timm, name)
    channels, strides = features.feature_info.channels(), features.feature_info.reduction()
    multiple = _multiple(features, channels[-1], name)
    head = DeepLabHead(channels[-1], num_classes, ATROUS_RATES.get(strides[-1], ATROUS_RATES[32]))
    network = DeepLabV3(Backbone(features), head, FCNHead(channels[-2], num_classes) if aux else None)
    return same_size(network, multiple)


def _multiple(features: nn.Module, channels: int, name: str) -> int:
    """What the sides of the encoder's images must be multiples of.

    Raises: UserError for an encoder whose maps are not (N, C, H, W), or for images of one size alone.
    """
    try:
        multiple, maps = needed_multiple(features)
    except Exception as error:
        raise UserError(
            f"--model.name {name}: the encoder does not take images of any size "
            f"({' '.join(str(error).split())}), as transformers do not; choose a convolutional one"
        ) from error
    shape = tuple(maps[-1].shape)
    if len(shape) != 4 or shape[1] != channels:
        raise UserError(
            f"--model.name {name}: the encoder puts out {shape}, needed is (N, {channels}, H, W); a "
            "transformer has no maps that RWS can use: choose a convolutional encoder"
        )
    return multiple


def _pretrained(timm: ModuleType, name: str, pretrained: object) -> tuple[str, dict[str, Tensor]]:
    """The published weights of an encoder under the network's keys, and where they are from."""
    if not pretrained or not (pretrained.url or pretrained.hf_hub_id or pretrained.file):
        raise UserError(
            f"--model.name {name}: timm has no weights of this encoder; pass --model.weights none to train "
            "from scratch, or a file"
        )
    try:
        state = _features(timm, name, pretrained=True).state_dict()
    except UserError:
        raise
    except Exception as error:  # no network, a proxy, a full disk: the loaders raise all sorts
        raise UserError(
            f"--model.name {name}: its weights cannot be downloaded ({type(error).__name__}); check the "
            "connection, or pass --model.weights none or a file"
        ) from error
    return f"timm's weights of {name}", {f"backbone.features.{key}": value for key, value in state.items()}
