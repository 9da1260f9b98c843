"""torchvision without torch's compiler, which takes as long to load as torch itself.

torchvision 0.29 loads `torch._dynamo` for two things: `roi_align` asks whether it could be compiled, and
`tv_tensors.wrap` is marked as not to be compiled. A command that compiles nothing waits for it in vain.
"""

import sys
from collections.abc import Callable
from importlib import import_module
from types import ModuleType

import torch

_ASKED = "torch._dynamo.utils"


class _Later(ModuleType):
    """Stands for a module of which functions are wanted; the first call of one loads the real module."""

    def __getattr__(self, name: str) -> Callable:
        if name.startswith("__"):
            raise AttributeError(name)
        return lambda *args, **kwargs: getattr(import_module(self.__name__), name)(*args, **kwargs)


def _unmarked(function: Callable | None = None, *_: object, **__: object) -> Callable:
    """`torch.compiler.disable` for a process that compiles nothing."""
    return function or _unmarked


def load_torchvision() -> None:
    """Load torchvision without the compiler; nothing to do where either is there already.

    For the process of a command that does not compile torchvision's transforms.
    """
    if {"torchvision", "torch._dynamo"} & sys.modules.keys():
        return
    disable, torch.compiler.disable = torch.compiler.disable, _unmarked
    sys.modules[_ASKED] = stand_in = _Later(_ASKED)
    try:
        import_module("torchvision.transforms.v2")
    finally:
        torch.compiler.disable = disable
        if sys.modules.get(_ASKED) is stand_in:
            del sys.modules[_ASKED]
