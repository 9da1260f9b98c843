"""The exported network of a checkpoint, kept beside it for the programs that run it.

The file's name and content say whose it is, so it is made again for other weights. It is data: nothing in it
makes us run code or open another file.
"""

import hashlib
import os
import re
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict
from pathlib import Path

from torch import nn

from rws.predict.export.write import export_network
from rws.runs.card import Card
from rws.runs.checkpoint import digest_of
from rws.runtime.files import written

FORM = 1  # another number has all files made again
OF_NETWORK, OF_FILE = "rws_network", "rws_sha256"  # keys in the file's metadata
_LETTERS = 12  # of the digest, in a file's name
_MOST_IN_CACHE = 8  # files of one name in the user's cache: networks that differ may share it


def network_digest(network: nn.Module, card: Card) -> str:
    """The SHA-256 of a network: its weights, its modules and its card."""
    modules = re.sub(r" at 0x[0-9a-f]+", "", str(network))
    return digest_of([FORM, asdict(card), modules, dict(network.state_dict())])


def user_cache() -> Path:
    """The folder for files that can be made again."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "rws"


def places(checkpoint: Path | None, title: str, digest: str) -> list[Path]:
    """Where the exported network may lie: beside its checkpoint, then in the user's cache."""
    stem = checkpoint.stem if checkpoint else re.sub(r"[^\w.-]+", "_", title)
    name = f"{stem}.{digest[:_LETTERS]}.onnx"
    return [*([checkpoint.with_name(name)] if checkpoint else []), user_cache() / name]


def read_kept(path: Path, digest: str) -> bytes | None:
    """The exported network in a file; None where it is not there, damaged, or of another digest."""
    import onnx
    from onnx.external_data_helper import convert_model_from_external_data

    if not path.is_file():
        return None
    try:
        model = onnx.load_model_from_string(path.read_bytes())
        convert_model_from_external_data(model)  # refuses tensors that lie in other files
        seal, told = model.metadata_props.pop(), {each.key: each.value for each in model.metadata_props}
        content = model.SerializeToString()
    except Exception:  # a bit may have made anything of it
        return None
    whole = (seal.key, seal.value) == (OF_FILE, hashlib.sha256(content).hexdigest())
    return content if whole and told.get(OF_NETWORK) == digest else None


def make_content(network: nn.Module, card: Card, digest: str) -> bytes:
    """The exported network, checked against torch, for any batch and size, and said to be of a digest.

    Raises: UserError for one that cannot be exported so.
    """
    import onnx

    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "network.onnx"
        export_network(network, card, "onnx", path, (card.base_size,) * 2, free=("batch and size",))
        model = onnx.load(path)
    model.metadata_props.add(key=OF_NETWORK, value=digest)
    return model.SerializeToString()


def keep(content: bytes, where: Sequence[Path]) -> Path | None:
    """Write an exported network to the first place that can be written; None where none can be.

    Files of earlier weights under the same name are removed from beside the checkpoint; in the user's cache
    the newest ones stay.
    """
    import onnx

    model = onnx.load_model_from_string(content)
    model.metadata_props.add(key=OF_FILE, value=hashlib.sha256(content).hexdigest())
    for path in where:
        with suppress(OSError):
            with written(path) as file:
                file.write(model.SerializeToString())
            with suppress(OSError):
                _remove_others(path, _MOST_IN_CACHE - 1 if path == where[-1] else 0)
            return path
    return None


def _remove_others(path: Path, kept: int) -> None:
    """Remove the files of other digests beside one, but for the newest."""
    stem = path.name.split(".")[:-2]
    form = re.compile(rf"{re.escape('.'.join(stem))}\.[0-9a-f]{{{_LETTERS}}}\.onnx")
    others = [each for each in path.parent.iterdir() if each != path and form.fullmatch(each.name)]
    for other in sorted(others, key=lambda each: -each.stat().st_mtime)[kept:]:
        other.unlink(missing_ok=True)
