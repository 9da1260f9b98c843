"""Say what a run will cost before it begins: hours, disk, memory, and what to change if it will not fit.

    rws plan --config camvid_light --data.root data/camvid
    rws plan --config voc2012_resnet50 --data.root data --gpus 4

It reads the lists of the set and tries every part of a cycle here on a few images (some minutes on a CPU), in
a folder that it removes. It takes the flags of `rws train`; --gpus N reckons for N devices like this one.
"""

import shutil
from pathlib import Path

from rws.cli import parse
from rws.config.flags import option_flags
from rws.errors import Parser, UserError, exit_code
from rws.runtime.bars import say


def make_parser() -> Parser:
    """The flags that are not those of train."""
    parser = Parser("rws plan", __doc__, further=option_flags())
    parser.add_argument("--gpus", type=int, default=1, metavar="N", help="devices that share the work; 1")
    return parser


def main(flags: list[str]) -> int:
    """Plan as a command line says; the exit code."""
    return exit_code(
        lambda: plan(flags), results="nothing is left on the disk", interrupted="interrupted; nothing is left"
    )


def plan(arguments: list[str]) -> None:
    """Measure, reckon and say.

    Raises: UserError for whatever is wrong.
    """
    chosen, flags = make_parser().parse_known_args(arguments)
    command = parse(flags)
    config = command.config
    if chosen.gpus < 1:
        raise UserError(f"command line: --gpus {chosen.gpus}: must be 1 or more")
    if config.model.name.startswith("sc_cam_"):
        raise UserError(f"model.name {config.model.name}: rws plan knows no rounds of SC-CAM")
    # Late, so that a wrong flag is answered without loading torch.
    from rws.cost.advice import advice
    from rws.cost.reckon import reckon
    from rws.cost.table import table
    from rws.cost.trial import measure
    from rws.runtime.device import choose_device
    from rws.runtime.device_memory import memory_of
    from rws.runtime.signals import handled

    with handled():
        costs = measure(config)
    found = reckon(config, costs, chosen.gpus)
    say(f"configuration: {command.source}", *table(config, costs, found, chosen.gpus))
    say(*advice(config, found, memory_of(choose_device(config.device)), _free(Path(config.runs))))


def _free(folder: Path) -> int:
    """Bytes that are free where a folder is or will be."""
    there = next(each for each in (folder.absolute(), *folder.absolute().parents) if each.exists())
    return shutil.disk_usage(there).free
