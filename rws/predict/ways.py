"""Settings of the ways in which a network looks at an image.

Nothing here loads torch, so that flags are checked at once.
"""

from dataclasses import dataclass

from rws.config.look_again import LookAgain
from rws.errors import UserError

TTA = ("none", "flip", "ms_flip", "quarters", "quarters_flip")
TORCH = "torch"
BACKENDS = (TORCH, "onnxruntime", "openvino", "openvino-bf16")
SMALLEST_WINDOW = 32  # the stride of many networks' last stage: in less they see nothing


def check_tta(tta: str) -> None:
    """Raises: UserError for an unknown augmentation."""
    if tta not in TTA:
        raise UserError(f"tta {tta!r}: must be one of {', '.join(TTA)}")


def backend_device(backend: str, device: str) -> str:
    """The device on which a backend runs networks: the CPU, for torch the one that was asked for.

    Raises: UserError for an unknown backend, and for another device than the CPU.
    """
    if backend not in BACKENDS:
        raise UserError(f"--backend {backend}: must be one of {', '.join(BACKENDS)}")
    if backend == TORCH:
        return device
    if device not in ("auto", "cpu"):
        raise UserError(f"--device {device}: needs torch, {backend} runs on the CPU; leave out --backend")
    return "cpu"


def require_torch(what: str, backend: str) -> None:
    """Raises: UserError for what goes through the network's stages, which another backend does not show."""
    if backend != TORCH:
        raise UserError(
            f"{what}: needs torch, which shows the network's stages; leave out --backend {backend}"
        )


def has_quarters(tta: str) -> bool:
    """Whether the network sees parts of the image beside the whole."""
    return tta.startswith("quarters")


@dataclass(frozen=True)
class Windows:
    """Square windows of `side` pixels, `step` pixels apart; the last of each row and column ends at the edge.

    A side that is smaller than a window is covered by one window of that side.

    Raises: UserError for windows in which networks see nothing, or between which pixels are missed.
    """

    side: int
    step: int

    def __post_init__(self) -> None:
        side, step = self.side, self.step
        if side < SMALLEST_WINDOW:
            raise UserError(f"command line: --slide {side}: a window needs {SMALLEST_WINDOW} pixels at least")
        if not 1 <= step <= side:
            raise UserError(
                f"command line: --stride {step}: must be 1 to {side}, the window, or pixels are missed"
            )

    def starts(self, length: int) -> list[int]:
        """Where the windows along a side of `length` pixels start."""
        last = max(length - self.side, 0)
        return [*range(0, last, self.step), last]


@dataclass(frozen=True)
class HeatMaps:
    """Which heat maps are drawn: of the pixels predicted as `category`, by one of CAM_METHODS.

    whole: over the whole photograph, else at these pixels alone.
    """

    category: str
    method: str = "gradcam"
    whole: bool = False


@dataclass(frozen=True)
class PredictOptions:
    """How a network looks at an image: once, with augmentation, again at parts, or in windows.

    backend: the program that runs the network, one of BACKENDS.

    Raises: UserError for ways that exclude each other.
    """

    tta: str = "none"
    windows: Windows | None = None
    look_again: LookAgain | None = None
    backend: str = TORCH

    @property
    def needs_stages(self) -> bool:
        """Whether heat maps say where to look."""
        return self.look_again is not None and self.look_again.choose == "attention"

    def __post_init__(self) -> None:
        check_tta(self.tta)
        if self.needs_stages:
            require_torch("--choose attention", self.backend)
        if self.look_again and self.windows:
            raise UserError("command line: --ways rws and --slide are two ways to look at parts; choose one")
        if self.look_again and self.tta != "none":
            raise UserError(
                f"command line: --ways rws and --ways {self.tta} are two ways to look; choose one"
            )
        if has_quarters(self.tta) and self.windows:
            raise UserError(
                f"command line: --ways {self.tta} enlarges parts of the whole image, --slide sees parts at "
                "their own size; choose one"
            )
