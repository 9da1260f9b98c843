"""Finds a network's tensors in a file, whatever was saved around them.

People save a network's state inside dictionaries ({"epoch": 3, "model_state_dict": ...}) and from within
other modules, which put prefixes before its keys (`module.`, `model.`). Both are one thing here: the file
becomes one dictionary of dotted keys, and a reading of it is a prefix behind which the network's keys follow.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

# What DataParallel and averaged models, torch.compile, FSDP and activation checkpoints put into keys.
WRAPPERS = frozenset({"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"})
DEPTH = 6  # of dictionaries within each other; one may hold itself


@dataclass
class Reading:
    """The tensors behind `prefix` in a file; `keys` has for each of them that fits its key in the network."""

    prefix: str = ""
    keys: dict[str, str] = field(default_factory=dict)

    def rest(self, key: str) -> str:
        """A key of the file as it is behind the prefix."""
        return key.removeprefix(f"{self.prefix}.") if self.prefix else key


def named_tensors(content: object, depth: int = DEPTH) -> Iterator[tuple[str, Tensor]]:
    """Every tensor of nested dictionaries with the names that lead to it, joined by dots.

    Numbers are no names: those of an optimizer's state are left out.
    """
    for key, value in content.items() if isinstance(content, Mapping) and depth else ():
        if not isinstance(key, str):
            continue
        if isinstance(value, Tensor):
            yield key, value
        for inner, tensor in named_tensors(value, depth - 1):
            yield f"{key}.{inner}", tensor


def fits(value: Tensor, own: Tensor) -> bool:
    """Whether a tensor can be copied into one of the network: dense, of its shape, numbers of its kind."""
    dense = value.layout == torch.strided and not value.is_quantized and not value.is_meta
    return dense and value.shape == own.shape and value.is_floating_point() == own.is_floating_point()


def readings(tensors: Mapping[str, Tensor], own: Mapping[str, Tensor], key_prefix: str = "") -> list[Reading]:
    """The ways in which a file's tensors fit a network's, the one that fits most of them first.

    key_prefix: goes before the keys of a file that holds the backbone alone.

    A prefix counts where half of the tensors behind it fit; without one, any tensor does.
    """
    plain = {_unwrapped(key): key for key in own}
    found: dict[tuple[str, str], Reading] = {}
    for key, value in tensors.items():
        for prefix, rest in _cuts(key):
            for front in {"", key_prefix}:
                target = plain.get(front + rest)
                if target is not None and fits(value, own[target]):
                    reading = found.setdefault((prefix, front), Reading(prefix))
                    reading.keys[key] = target
    behind = {prefix: sum(key.startswith(f"{prefix}.") for key in tensors) for prefix, _ in found}
    kept = [r for r in found.values() if not r.prefix or 2 * len(r.keys) >= behind[r.prefix]]
    return sorted(kept, key=lambda reading: (-len(reading.keys), reading.prefix != ""))


def rivals(chosen: Reading, others: list[Reading], tensors: Mapping[str, Tensor]) -> list[Reading]:
    """Readings that give the network other values than the chosen one, and fit at least half as many.

    A file whose keys are the network's own has none: what else it holds was saved beside the network.
    """
    if all(key == target for key, target in chosen.keys.items()):
        return []
    mine = {target: tensors[key] for key, target in chosen.keys.items()}

    def differs(other: Reading) -> bool:
        shared = ((mine[target], tensors[key]) for key, target in other.keys.items() if target in mine)
        return any(not torch.equal(one, another) for one, another in shared)

    return [o for o in others if 2 * len(o.keys) >= len(chosen.keys) and differs(o)]


def _unwrapped(key: str) -> str:
    return ".".join(part for part in key.split(".") if part not in WRAPPERS) or key


def _cuts(key: str) -> Iterator[tuple[str, str]]:
    """Every prefix of a key with what follows it, where wrappers count as part of the prefix."""
    parts = key.split(".")
    for cut, first in enumerate(parts):
        if first not in WRAPPERS:
            yield ".".join(parts[:cut]), _unwrapped(".".join(parts[cut:]))
