"""Say where a cycle spends its time, part by part, on a few images of a configuration.

    rws bench cycle --config camvid_light --data.root data/camvid
    rws bench cycle --config demo --images 96 --processor

A run of one cycle trains, looks, selects and trains again on --images of the training images, and writes its
report, in a folder that is removed. From that follows what the run of all images and cycles takes: steps
and images count as often as it has them, files and the report's pictures do not grow. It takes the flags of
`rws train`.

A network of few steps finds too many slices: --slices 0.7 keeps as many of an image as a whole run did, which
is `kept_slices` over `images` in its summary.json. Images are read and augmented in the same process, so
that they count; --processor counts seconds of the processor, for a machine with other work.
"""

import time

from rws.cli import parse
from rws.config.flags import option_flags
from rws.errors import Parser, UserError, exit_code
from rws.runtime.bars import say


def make_parser() -> Parser:
    """The flags that are not those of train."""
    parser = Parser("rws bench", __doc__, further=option_flags())
    parser.add_argument("what", choices=("cycle",), help="what is measured")
    parser.add_argument("--images", type=int, default=48, metavar="N", help="training images; 48")
    parser.add_argument(
        "--slices", type=float, metavar="N", help="slices of an image that are kept, on the average; as found"
    )
    parser.add_argument("--processor", action="store_true", help="seconds of the processor, not of the clock")
    return parser


def main(flags: list[str]) -> int:
    """Measure as a command line says; the exit code."""
    return exit_code(
        lambda: bench(flags),
        results="nothing is left on the disk",
        interrupted="interrupted; nothing is left",
    )


def bench(arguments: list[str]) -> None:
    """Run a cycle and say where its time went.

    Raises: UserError for whatever is wrong.
    """
    chosen, flags = make_parser().parse_known_args(arguments)
    command = parse(flags)
    if chosen.images < 1:
        raise UserError(f"command line: --images {chosen.images}: must be 1 or more")
    if chosen.slices is not None and not chosen.slices > 0:
        raise UserError(f"command line: --slices {chosen.slices:g}: must be above 0")
    if command.config.model.name.startswith("sc_cam_"):
        raise UserError(f"model.name {command.config.model.name}: rws bench knows no rounds of SC-CAM")
    # Late, so that a wrong flag is answered without loading torch.
    from rws.cost.parts import time_cycle
    from rws.cost.shares import lines
    from rws.runtime.signals import handled

    clock = time.process_time if chosen.processor else time.perf_counter
    with handled():
        found = time_cycle(command.config, chosen.images, clock, chosen.slices)
    few, whole = found.few, found.all
    said = f"on {few.train} of {whole.train} training images, {found.slices:.1f} slices of each"
    said += f"; the whole run: {whole.cycles} cycles at most"
    say(f"configuration: {command.source}, {said}", *lines(found))
