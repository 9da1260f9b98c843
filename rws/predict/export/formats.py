"""How each format is written, and read back to be checked."""

import contextlib
import importlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.errors import UserError
from rws.predict.export.endings import ENDINGS
from rws.predict.export.plain import INPUT, OUTPUT

AXES = {"batch and size": {0: "batch", 2: "height", 3: "width"}, "batch": {0: "batch"}, "nothing": {}}
METADATA_FILE = "metadata.json"
Run = Callable[[Tensor], Tensor]


@dataclass(frozen=True)
class Format:
    """One format: the endings of its files, the packages that it needs, how to write and read it.

    `write` takes the network, an example of its input, names of the axes that may have any length, the path
    and the metadata.
    """

    endings: tuple[str, ...]
    packages: tuple[str, ...]
    write: Callable[[nn.Module, Tensor, dict[int, str], Path, dict[str, str]], None]
    read: Callable[[Path], Run]


def _onnx(network: nn.Module, example: Tensor, axes: dict, path: Path, described: dict[str, str]) -> None:
    import onnx

    program = torch.onnx.export(
        network,
        (example,),
        dynamo=True,
        dynamic_shapes={INPUT: _dimensions(axes)},
        input_names=[INPUT],
        output_names=[OUTPUT],
    )
    model = program.model_proto
    for tensor in (model.graph.input[0], model.graph.output[0]):
        for axis, name in axes.items():
            tensor.type.tensor_type.shape.dim[axis].dim_param = name
    for key, value in described.items():
        model.metadata_props.add(key=key, value=value)
    onnx.save_model(model, path)


def _read_onnx(path: Path) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says on failing is in the exception
    session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _torchscript(network: nn.Module, example: Tensor, axes: dict, path: Path, described: dict) -> None:
    with torch.no_grad():
        traced = torch.jit.trace(network, example, check_trace=False)
    _through_memory(torch.jit.save, traced, path, _extra_files={METADATA_FILE: _as_json(described)})


def _read_torchscript(path: Path) -> Run:
    return torch.jit.load(path, map_location="cpu")


def _torch_export(network: nn.Module, example: Tensor, axes: dict, path: Path, described: dict) -> None:
    shapes = {INPUT: _dimensions(axes)}
    program = torch.export.export(network, (example,), dynamic_shapes=shapes, strict=False)
    _through_memory(torch.export.save, program, path, extra_files={METADATA_FILE: _as_json(described)})


def _through_memory(save: Callable[..., None], program: object, path: Path, **extra: dict[str, str]) -> None:
    """Write what `save` makes. Where torch itself writes and the disk is full, it ends the whole process."""
    made = io.BytesIO()
    save(program, made, **extra)
    path.write_bytes(made.getbuffer())


def _read_torch_export(path: Path) -> Run:
    return torch.export.load(path).module()


def _dimensions(axes: dict[int, str]) -> dict[int, object]:
    # AUTO and not a name: which sizes a network takes is found by torch, and then by our check.
    return dict.fromkeys(axes, torch.export.Dim.AUTO)


def _as_json(described: dict[str, str]) -> str:
    return json.dumps({key: json.loads(value) for key, value in described.items()}, indent=1)


FORMATS = {
    "onnx": Format(ENDINGS["onnx"], ("onnx", "onnxruntime", "onnxscript"), _onnx, _read_onnx),
    "torchscript": Format(ENDINGS["torchscript"], (), _torchscript, _read_torchscript),
    "torch_export": Format(ENDINGS["torch_export"], (), _torch_export, _read_torch_export),
}


def require_packages(name: str, packages: Sequence[str], extra: str = "export") -> None:
    """Raises: UserError where one of the packages of an extra, which `name` needs, is missing."""
    for package in packages:
        try:
            importlib.import_module(package)
        except ImportError:
            raise UserError(
                f'{name}: the package {package} is not installed; run `pip install ".[{extra}]"`'
            ) from None


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """The exporters' pages of advice are left out; an error's own text is not."""
    level, told = logging.root.manager.disable, io.StringIO()
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(told), contextlib.redirect_stderr(told):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)
