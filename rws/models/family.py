"""What a family of networks is: how to build it, its stages, its inputs and its weights."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor, nn

from rws.errors import UserError

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)


@dataclass(frozen=True)
class Family:
    """One architecture: how to build it, where its stages are, and what its inputs and weights look like.

    `build(num_classes, aux)` returns the untrained network, with an auxiliary head if `aux` and if it has
    one; `stages` are module names, early to late, or None where they are found automatically; images in 0..1
    are normalised by `mean` and `std`. Trained weights are `weights_file` in the weights folder, from the
    address `download`, or else what `packaged` reads from an installed package under the network's keys.
    The keys of a file that holds the backbone alone take `key_prefix`.
    """

    build: Callable[[int, bool], nn.Module]
    stages: tuple[str, ...] | None = None
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    weights_file: str | None = None
    download: str | None = None
    packaged: Callable[[], tuple[str, dict[str, Tensor]]] | None = None
    key_prefix: str = ""

    @property
    def has_weights(self) -> bool:
        """Whether there are weights that `auto` could mean; otherwise a network starts as it is built."""
        return bool(self.weights_file or self.packaged)

    @property
    def file_names(self) -> tuple[str, ...]:
        """Names under which the downloaded file is recognised: ours, and the one of its address."""
        return (
            (self.weights_file, self.download.rsplit("/", 1)[1])
            if self.weights_file and self.download
            else ()
        )

    @property
    def sha256_prefix(self) -> str | None:
        """First digits of the file's SHA-256, which torchvision writes at the end of the name."""
        return Path(self.download).stem.rsplit("-", 1)[1] if self.download else None


def published_file(name: str) -> str:
    """The file of a network's COCO weights, which `rws download NAME` gets."""
    return f"{name}_coco.pth"


def not_installed(network: str, package: str, extra: str) -> UserError:
    """What to say when the package of an optional extra is missing."""
    return UserError(
        f"{network}: the package {package} is not installed; run `pip install .[{extra}]`, "
        "or choose another --model.name"
    )
