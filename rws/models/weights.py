"""Reads weight files without running code from them, and copies what fits into a network."""

import hashlib
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.models.wrappings import Reading, named_tensors, readings, rivals

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
    """Read all named tensors of a file onto the CPU; those within dictionaries take their keys before theirs.

    Nothing but tensors and plain containers is unpickled, so a file cannot run code.

    Raises:
        UserError: the file is missing, has another SHA-256 than expected, or is not a file of weights.
    """
    path = Path(path)
    if path.is_dir():
        raise UserError(f"{path}: is a folder; give the file of weights in it")
    if not path.is_file():
        raise UserError(
            f"{path}: no such weights file; check the path (--model.weights none trains from scratch)"
        )
    try:
        if sha256_prefix:
            _check_hash(path, sha256_prefix)
        content = _content(path)
    except UserError:
        raise
    except PermissionError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); check the permissions of the file"
        ) from error
    except Exception as error:  # a damaged pickle fails with nearly any type: KeyError, EOFError, ...
        raise UserError(_unreadable(path, error)) from error
    tensors = dict(named_tensors(content))
    if not tensors:
        keys = f"its keys are {_first(map(str, content))}" if isinstance(content, Mapping) and content else ""
        raise UserError(
            f"{path}: holds no named tensors ({keys or type(content).__name__}); save state_dict() with "
            "torch.save"
        )
    return tensors


def load_matching(
    network: nn.Module, tensors: Mapping[str, Tensor], source: str = "state dict", key_prefix: str = ""
) -> LoadReport:
    """Copy every tensor whose key and shape the network has, and say which were not.

    The network's keys may stand behind a prefix (see `wrappings`), if that can be read in one way alone.
    `source` names the file in messages. A head for another number of classes is dropped by its shape. The
    keys of a file that holds the backbone alone take `key_prefix`.

    Raises:
        UserError: no tensor fits the network, or different ones fit it equally, or one is not finite; the
            network is unchanged then.
    """
    own = network.state_dict()
    found = readings(tensors, own, key_prefix)
    if not found:
        raise UserError(
            f"{source}: no tensor fits the network; the file has {_first(tensors)}, the network "
            f"{_first(own)}; give the weights of this architecture (--model.name) or --model.weights none"
        )
    chosen = found[0]
    if others := rivals(chosen, found[1:], tensors):
        places = " and under ".join(repr(reading.prefix) for reading in (chosen, *others))
        raise UserError(
            f"{source}: holds this network more than once, under {places}; save the one that is meant alone "
            "(torch.load, then torch.save of that part) and give that file"
        )
    fitting = {target: tensors[key] for key, target in chosen.keys.items()}
    _check_finite(fitting, source)
    network.load_state_dict(fitting, strict=False)
    dropped = tuple(chosen.rest(key) for key in tensors if key not in chosen.keys)
    missing = tuple(key for key in own if key not in fitting)
    return LoadReport(_place(source, chosen), len(fitting), dropped, missing)


def _place(source: str, reading: Reading) -> str:
    """The source, with the prefix where it is not as well the network's own."""
    as_they_are = all(key == target for key, target in reading.keys.items())
    return source if as_they_are or not reading.prefix else f"{source} (under {reading.prefix})"


def _check_finite(tensors: Mapping[str, Tensor], source: str) -> None:
    for key, value in tensors.items():
        if value.is_floating_point() and not value.isfinite().all():
            raise UserError(
                f"{source}: {key} holds values that are not finite, as of a training that failed; take "
                "weights of an earlier epoch, or --model.weights none"
            )


def _content(path: Path) -> object:
    """What a file of torch or safetensors holds. Raises: nearly anything."""
    with path.open("rb") as file:
        start = file.read(9)
    if start[8:] == b"{" and int.from_bytes(start[:8], "little") < path.stat().st_size:
        return _safetensors(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of odd pickles before it refuses them
        return torch.load(path, map_location="cpu", weights_only=True)


def _safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors.torch import load_file
    except ImportError as error:
        raise UserError(f"{path}: a file of safetensors; run `pip install safetensors` to read it") from error
    return load_file(path)


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
    if start.startswith(b"version https://git-lfs"):
        return f"{path}: a pointer of Git LFS in place of the weights; run `git lfs pull` where it is from"
    if "torchscript" in str(error).lower():
        return (
            f"{path}: a network of TorchScript, code and all; save torch.jit.load(FILE).state_dict() with "
            "torch.save and give that file"
        )
    if "unsupported global" in str(error).lower():
        return (
            f"{path}: refused, it holds Python objects besides tensors, and reading them could run code; "
            "save the network's state_dict() alone with torch.save"
        )
    return (
        f"{path}: torch cannot read these {path.stat().st_size} bytes as weights (truncated, or another "
        "format); download or save the file again"
    )


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
