"""Reads weight files without running code from them, and copies what fits into a network."""

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.errors import UserError

NESTED_KEYS = ("model", "state_dict")
WRAPPER_PREFIXES = (
    "module.",
    "_orig_mod.",
)  # DistributedDataParallel and torch.compile put these before each key
AS_BUILT = "the network's own code"  # source of what a user's factory returns
HASH_SHOWN = 8  # hexadecimal digits, as many as torchvision puts into its file names


@dataclass(frozen=True)
class LoadReport:
    """What became of a file: tensors copied, keys of the file unused, keys of the network left untouched."""

    source: str
    loaded: int
    dropped: tuple[str, ...]
    missing: tuple[str, ...]

    def __str__(self) -> str:
        if self.source == AS_BUILT:
            return "weights: as the network's own code makes them"
        if not self.loaded:
            return "weights: none, every layer starts from its random initialisation"
        parts = [f"weights: {self.loaded} tensors from {self.source}"]
        if self.dropped:
            parts.append(f"dropped from the file: {_modules(self.dropped)}")
        if self.missing:
            parts.append(f"randomly initialised: {_modules(self.missing)}")
        return "; ".join(parts)


def read_weights(path: str | Path, sha256_prefix: str | None = None) -> dict[str, Tensor]:
    """Read a state dict onto the CPU, be it plain, inside a checkpoint, or saved from a wrapped network.

    Nothing but tensors and plain containers is unpickled, so a file cannot run code.

    Raises:
        UserError: the file is missing, has another SHA-256 than expected, or is not a file of weights.
    """
    path = Path(path)
    if not path.is_file():
        raise UserError(
            f"{path}: no such weights file; check the path (--model.weights none trains from scratch)"
        )
    try:
        if sha256_prefix:
            _check_hash(path, sha256_prefix)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of odd pickles before it refuses them
            content = torch.load(path, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the permissions of the file"
        ) from error
    except Exception as error:  # a damaged pickle fails with nearly any type: KeyError, EOFError, ...
        raise UserError(_unreadable(path, error)) from error
    return _plain_state(path, content)


def load_matching(network: nn.Module, state: Mapping[str, Tensor], source: str = "state dict") -> LoadReport:
    """Copy every tensor whose key and shape the network has, and say which were not.

    `source` names the file in messages. A head for another number of classes is dropped by its shape.

    Raises:
        UserError: no tensor of `state` fits the network; the network is unchanged then.
    """
    own = network.state_dict()
    fitting = {key: value for key, value in state.items() if key in own and own[key].shape == value.shape}
    if not fitting:
        raise UserError(
            f"{source}: no tensor fits the network; the file has {_first(state)}, the network {_first(own)}; "
            "give the weights of this architecture (--model.name) or --model.weights none"
        )
    network.load_state_dict(fitting, strict=False)
    dropped = tuple(key for key in state if key not in fitting)
    missing = tuple(key for key in own if key not in fitting)
    return LoadReport(source, len(fitting), dropped, missing)


def _check_hash(path: Path, prefix: str) -> None:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while chunk := file.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    if not found.startswith(prefix):
        raise UserError(
            f"{path}: SHA-256 begins with {found[:HASH_SHOWN]}, expected {prefix}; the file is damaged, or "
            "not the one of this name: download it again, or rename yours and give its path"
        )


def _unreadable(path: Path, error: Exception) -> str:
    with path.open("rb") as file:
        start = file.read(256).lstrip()
    if start.startswith(b"<"):
        return f"{path}: an HTML or XML page, not weights; the download failed, fetch the file itself again"
    if "unsupported global" in str(error).lower():
        return (
            f"{path}: refused, it holds Python objects besides tensors, and reading them could run code; "
            "save the network's state_dict() alone with torch.save"
        )
    return (
        f"{path}: torch cannot read these {path.stat().st_size} bytes as weights (truncated, or another "
        "format); download or save the file again"
    )


def _plain_state(path: Path, content: object) -> dict[str, Tensor]:
    for key in NESTED_KEYS:
        if isinstance(content, Mapping) and isinstance(content.get(key), Mapping):
            content = content[key]
    items = content.items() if isinstance(content, Mapping) else ()
    state = {_unwrapped(k): v for k, v in items if isinstance(k, str) and isinstance(v, Tensor)}
    if not state:
        raise UserError(
            f"{path}: holds no named tensors ({type(content).__name__}); save state_dict() with torch.save"
        )
    return state


def _unwrapped(key: str) -> str:
    while key.startswith(WRAPPER_PREFIXES):
        key = key.split(".", 1)[1]
    return key


def _first(keys: Iterable[str], count: int = 3) -> str:
    keys = list(keys)
    return ", ".join(keys[:count]) + (f" and {len(keys) - count} more" if len(keys) > count else "")


def _modules(keys: Iterable[str]) -> str:
    """Name the layers of the keys, or the parts of the network where there are too many for one line."""
    layers = list(dict.fromkeys(key.rpartition(".")[0] or key for key in keys))
    if len(layers) <= 4:
        return ", ".join(layers)
    parts: dict[str, int] = {}
    for layer in layers:
        part = layer.split(".")[0]
        parts[part] = parts.get(part, 0) + 1
    return ", ".join(f"{part} ({count} layers)" for part, count in parts.items())
