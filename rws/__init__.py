"""Refined Weak Slices: a segmentation network improves itself where its own heat maps look away.

load    a network that segments photographs: load("deeplabv3_resnet50")("photo.jpg")
see     the heat maps of all stages of any CNN in one pass
train   a run of RWS, by its configuration
val     trained networks measured on a list of a data set
RWS     the method in a training loop of your own; coordinates goes with it
"""

from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rws.api.load import load
    from rws.api.see import see
    from rws.api.train import train
    from rws.errors import UserError
    from rws.evaluate.validation import val
    from rws.wrapper.rws import RWS, coordinates

__all__ = ["RWS", "UserError", "coordinates", "load", "see", "train", "val"]

_WHERE = {
    "RWS": "rws.wrapper.rws",
    "UserError": "rws.errors",
    "coordinates": "rws.wrapper.rws",
    "val": "rws.evaluate.validation",
}

# Where commands under their old names lie, which say the new ones.
__path__.append(str(Path(__file__).parent / "moved"))


def __getattr__(name: str) -> object:
    """`from rws import load` loads torch, which the scripts do only once their flags are right."""
    if name in __all__:
        return getattr(import_module(_WHERE.get(name, f"rws.api.{name}")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
