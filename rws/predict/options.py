"""The commands that the flags of `rws predict` become.

Nothing here loads torch: a wrong flag is answered at once.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

from rws.config.look_again import CHOICES
from rws.config.retired import LATER_FINDINGS
from rws.errors import Parser, UserError, add_trust, trusted_of
from rws.predict.flags import (
    ANNOTATION_FORMS,
    DEFAULT_NETWORK,
    DEFAULT_OUTPUT,
    EXPORT_FLAGS,
    FILM_FORMS,
    PROG,
    make_parser,
)
from rws.predict.ways import (
    LookAgain,
    PredictOptions,
    Windows,
    backend_device,
    require_torch,
)


@dataclass(frozen=True)
class FilmOptions:
    """What is asked for films alone.

    sequence: names of sequences of DAVIS, with commas. form: mp4 or gif. rate: frames per second.
    foreground: the class that is measured against the masks. truth: the masks beside the prediction.
    """

    sequence: str | None = None
    form: str | None = None
    rate: Fraction | None = None
    foreground: str | None = None
    truth: bool = False


@dataclass(frozen=True)
class PredictCommand:
    """What to predict, by which networks, in which way, and where the results go.

    networks: what `open_network` takes. sources: images, folders, films, or numbers of cameras. cam: class
    whose heat maps are drawn as well, by `cam_method`. titles: one a network. width: in pixels, of a film or
    of one picture side by side. trusted: networks of one's own that a checkpoint may ask for. annotations:
    their form, to be written too. legend: of `named_overlay`. cam_whole: heat maps over the whole photograph.

    Raises: UserError for settings that contradict each other.
    """

    networks: tuple[str | Path, ...]
    sources: tuple[Path, ...]
    output: Path = DEFAULT_OUTPUT
    options: PredictOptions = field(default_factory=PredictOptions)
    films: FilmOptions = field(default_factory=FilmOptions)
    cam: str | None = None
    cam_method: str = "gradcam"
    titles: tuple[str, ...] | None = None
    width: int | None = None
    device: str = "auto"
    trusted: tuple[str, ...] = ()
    annotations: str | None = None
    legend: str | None = None
    cam_whole: bool = False

    def __post_init__(self) -> None:
        titles, networks = self.titles, self.networks
        backend_device(self.options.backend, self.device)
        if self.cam is not None:
            require_torch(f"--cam {self.cam}", self.options.backend)
        if self.cam is None and self.cam_method != "gradcam":
            raise UserError(f"command line: --cam-method {self.cam_method} is of heat maps; give --cam CLASS")
        if self.cam is None and self.cam_whole:
            raise UserError("command line: --cam-whole is of heat maps; give --cam CLASS")
        if self.cam is not None and self.side_by_side:
            raise UserError("--cam: heat maps are drawn of one network; take --model instead of --compare")
        if self.annotations is not None and self.side_by_side:
            raise UserError(f"--format {self.annotations}: is of one network; take --model")
        if self.legend is not None and self.side_by_side:
            raise UserError(f"--legend {self.legend}: is of the overlay of one network; take --model")
        if titles is not None and len(titles) != len(networks):
            raise UserError(
                f"--titles: {len(titles)} titles for {len(networks)} networks; give each one of its own, in "
                "quotes if it holds a space"
            )

    @property
    def runs_on(self) -> str:
        """The device on which the networks are run."""
        return backend_device(self.options.backend, self.device)

    @property
    def side_by_side(self) -> bool:
        """Whether several networks are compared."""
        return len(self.networks) > 1


@dataclass(frozen=True)
class ExportCommand:
    """A network to write for other programs; size (H, W) fixes its input, trusted as in PredictCommand."""

    form: str
    path: Path
    checkpoint: Path
    size: tuple[int, int] | None = None
    trusted: tuple[str, ...] = ()


def parse(flags: Sequence[str], description: str | None = None, prog: str = PROG) -> PredictCommand:
    """The prediction that the flags of `prog` ask for; `description` stands at the top of --help.

    Raises: UserError for a wrong flag, and for flags that contradict each other.
    """
    parser = make_parser(description, prog)
    args = parser.parse_args(flags)
    if args.refine:
        raise UserError(
            "command line: --refine is retired, for --ways rws gains more with fewer passes "
            f"(docs/findings.md); the code that has it is commit {LATER_FINDINGS}"
        )
    return PredictCommand(
        _networks(parser, args.model, args.checkpoint, args.compare),
        _sources(parser, args.source, args.input),
        args.output,
        PredictOptions(
            "none" if args.way in ("plain", "rws") else args.way,
            sliding_windows(args.slide, args.stride),
            _look_again(args.way, args.passes, args.passes_most, args.choose),
            args.backend,
        ),
        FilmOptions(args.sequence, _one_of(FILM_FORMS, args.format), args.fps, args.foreground, args.truth),
        args.cam,
        args.cam_method,
        None if args.titles is None else tuple(args.titles),
        args.width,
        args.device,
        trusted_of(args),
        _one_of(ANNOTATION_FORMS, args.format),
        args.legend,
        args.cam_whole,
    )


def _one_of(forms: tuple[str, ...], form: str | None) -> str | None:
    return form if form in forms else None


def _networks(
    parser: Parser, model: str | None, checkpoint: Path | None, compare: list[str] | None
) -> tuple[str | Path, ...]:
    """The networks of a command line; the default one where none is named."""
    given = [flag for flag in (model, checkpoint, compare) if flag is not None]
    if len(given) > 1:
        parser.error("give one of --model, --checkpoint and --compare")
    if compare is not None and len(compare) < 2:
        raise UserError("--compare: needs two networks or more; take --model for one")
    return tuple(compare) if compare else (*given, DEFAULT_NETWORK)[:1]


def _sources(parser: Parser, named: list[Path], flag: Path | None) -> tuple[Path, ...]:
    if bool(named) == (flag is not None):
        parser.error("give what to look at once: images, a folder, a film, or the number of a camera")
    return tuple(named) or (flag,)


def sliding_windows(side: int | None, step: int | None) -> Windows | None:
    """The windows of `--slide` and `--stride`, if any; without a stride two thirds of a window apart.

    Raises: UserError for a window or a stride that cannot be used.
    """
    if side is None:
        if step is not None:
            raise UserError(f"command line: --stride {step} is for sliding windows; give --slide as well")
        return None
    return Windows(side, max(1, 2 * side // 3) if step is None else step)


def _look_again(way: str, passes: float | None, most: int | None, choose: str | None) -> LookAgain | None:
    if way == "rws":
        return LookAgain(3.0 if passes is None else passes, most, choose=choose or CHOICES[0])
    for value, flag in ((passes, "--passes"), (most, "--passes-most"), (choose, "--choose")):
        if value is not None:
            said = f"{value:g}" if isinstance(value, float) else value
            raise UserError(f"command line: {flag} {said} is of --ways rws; give that as well")
    return None


def is_export(flags: Sequence[str]) -> bool:
    """Whether a command line asks for an export, which takes nothing that prediction takes."""
    return any(flag.split("=")[0] in EXPORT_FLAGS for flag in flags)


def parse_export(flags: Sequence[str], prog: str = PROG) -> ExportCommand:
    """The export that the flags of `prog` ask for.

    Raises: UserError for a wrong flag.
    """
    parser = Parser(
        prog,
        "Write a trained network for other programs.",
        further=make_parser().flags,
        advice="--export goes with --checkpoint, --export-size and --trust-network alone",
    )
    parser.add_argument(
        "--export",
        nargs=2,
        required=True,
        metavar=("FORMAT", "OUT"),
        help="onnx, torchscript or torch_export, and the file",
    )
    parser.add_argument("--checkpoint", type=Path, required=True, help="best.pt or last.pt of a run")
    parser.add_argument(
        "--export-size",
        nargs=2,
        type=int,
        metavar=("H", "W"),
        help="fix the input to one image of this size; without it the input is as free as the network allows",
    )
    add_trust(parser)
    args = parser.parse_args(flags)
    form, path = args.export
    size = args.export_size and tuple(args.export_size)
    return ExportCommand(form, Path(path), args.checkpoint, size, trusted_of(args))
