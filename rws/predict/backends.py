"""Programs other than torch that run a network on the CPU (`--backend`): ONNX Runtime and OpenVINO.

They take the network from its exported file, and give the logits that torch gives.
"""

from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn

from rws.core.stages import logits_of
from rws.errors import UserError
from rws.models.same_size import size_multiple
from rws.predict.export.formats import FORMATS, Run, require_packages
from rws.predict.export.kept import keep, make_content, network_digest, places, read_kept
from rws.predict.export.plain import INPUT, OUTPUT
from rws.predict.export.write import allowed_difference, reason
from rws.predict.ways import TORCH
from rws.runs.card import Card
from rws.runs.open_network import as_file
from rws.runtime.bars import say
from rws.runtime.device import to_network

# Of the largest logit: bfloat16 has 8 bits, and the layers add up.
MOST_DIFFERENCE_BF16 = 0.1
CHECKED = (2, 3, 75, 118)  # the shape on which a network is compared with torch when it is opened

WAY_OUT = "take --backend torch"


def _onnxruntime(content: bytes) -> Run:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4  # what it says on failing is in the exception
    options.intra_op_num_threads = torch.get_num_threads()
    # Threads that spin while they wait take the cores from reading and writing.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return lambda images: torch.from_numpy(session.run([OUTPUT], {INPUT: images.numpy()})[0])


def _openvino(precision: str, content: bytes) -> Run:
    import openvino

    core = openvino.Core()
    if precision == "bf16" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        raise UserError("openvino-bf16: this processor has no bfloat16; take --backend openvino")
    settings = {
        "INFERENCE_PRECISION_HINT": precision,
        "INFERENCE_NUM_THREADS": torch.get_num_threads(),
        "NUM_STREAMS": 1,
        # Pinned threads of two processes would share the same cores.
        "ENABLE_CPU_PINNING": False,
    }
    request = core.compile_model(core.read_model(content), "CPU", settings).create_infer_request()

    def run(images: Tensor) -> Tensor:
        found = request.infer([openvino.Tensor(images.numpy(), shared_memory=True)])
        return torch.from_numpy(found[0])

    return run


# How each reads an exported file, the package that it needs, and the extra that has it.
RUNTIMES: dict[str, tuple[Callable[[bytes], Run], str, str]] = {
    "onnxruntime": (_onnxruntime, "onnxruntime", "export"),
    "openvino": (partial(_openvino, "f32"), "openvino", "openvino"),
    "openvino-bf16": (partial(_openvino, "bf16"), "openvino", "openvino"),
}


class Exported(nn.Module):
    """A network that a backend runs from its exported file.

    size_multiple: what the sides of images should be multiples of, as `same_size` says of the network.

    Shape: normalised images (N, 3, h, w) -> {"out": logits (N, C, h, w)}, all on the CPU.
    """

    def __init__(self, backend: str, content: bytes, card: Card, size_multiple: int) -> None:
        super().__init__()
        self.size_multiple = size_multiple
        read, _, _ = RUNTIMES[backend]
        self.backend, self._run = backend, read(content)
        for name in ("mean", "std"):
            values = torch.tensor(getattr(card.normalisation, name)).view(1, 3, 1, 1)
            self.register_parameter(name, nn.Parameter(values, requires_grad=False))

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        """Raises: UserError where the backend fails."""
        # The file is an ordinary export, which normalises by itself.
        levels = (images * self.std + self.mean).contiguous()
        try:
            return {"out": self._run(levels)}
        except Exception as error:  # of a runtime
            shape = "x".join(map(str, images.shape))
            raise UserError(f"{self.backend}: fails on {shape} ({reason(error)}); {WAY_OUT}") from None


def in_backend(network: nn.Module, card: Card, backend: str, name: str | Path) -> nn.Module:
    """A network on the CPU as a backend runs it; with torch the network itself.

    name: what it was opened by. The exported network is kept beside a checkpoint of that name, and else in
    the user's cache.

    Raises: UserError for a missing package, and a network that cannot be exported or run.
    """
    if backend == TORCH:
        return network
    _, package, extra = RUNTIMES[backend]
    require_packages(f"--backend {backend}", ("onnx", package), extra)
    digest = network_digest(network, card)
    where = places(as_file(name), str(name), digest)
    for path in where:
        if (content := read_kept(path, digest)) is not None:
            with suppress(_Unfit):
                return _checked(network, card, backend, content)
    require_packages(f"--backend {backend}", FORMATS["onnx"].packages, extra)
    return _made(network, card, backend, digest, where)


class _Unfit(Exception):
    """The exported network does not do as the network does."""


def _made(network: nn.Module, card: Card, backend: str, digest: str, where: list[Path]) -> Exported:
    """Export a network, and keep it.

    Raises: UserError for one that cannot be exported or run.
    """
    path = where[0]
    say(f"{path}: made for --backend {backend}, once; with some networks this takes minutes")
    try:
        content = make_content(network, card, digest)
        found = _checked(network, card, backend, content)
    except (UserError, _Unfit) as error:
        raise UserError(f"{card.network}: {backend} cannot run it ({error}); {WAY_OUT}") from None
    if (kept := keep(content, where)) != path:
        say(f"note: {path}: cannot be written; " + (f"it is {kept}" if kept else "it is made each time"))
    return found


def _checked(network: nn.Module, card: Card, backend: str, content: bytes) -> Exported:
    """The exported network, compared with torch's on two images of an odd size.

    Raises: _Unfit for one that fails, or whose logits differ.
    """
    images = torch.randn(CHECKED, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        want = logits_of(network(to_network(images, network)))
        try:
            found = Exported(backend, content, card, size_multiple(network))
            got = logits_of(found(images))
        except UserError:
            raise
        except Exception as error:  # of a runtime
            raise _Unfit(reason(error)) from None
    allowed = allowed_difference(want)
    if backend.endswith("bf16"):
        allowed = MOST_DIFFERENCE_BF16 * float(want.abs().max())
    difference = float((got - want).abs().max()) if got.shape == want.shape else torch.inf
    if not difference <= allowed:
        raise _Unfit(f"its logits differ by {difference:.1e}")
    return found
