"""From the first words of a command line to the command that they name, which alone is imported."""

import difflib
import sys
from collections.abc import Iterable
from importlib import import_module
from types import ModuleType
from typing import NamedTuple

from rws.errors import UserError, exit_code
from rws.runtime.allocator import keep_freed_memory

EXAMPLES = """\
  rws train                                             the demo, with its report: 5 minutes on 2 CPU cores
  rws check --config folder --data.root mine            look at images and labels of your own
  rws train --config voc2012_resnet50 --data.root data  train on a published set
  rws predict photo.jpg                                 20 classes of VOC, by a published network; see seen/
  rws guide --checkpoint runs/demo/best.pt              what the network misses, stage by stage"""


class Command(NamedTuple):
    """A command: what it does, and the module whose `main` it is; `make_parser` there knows its flags."""

    meaning: str
    module: str


COMMANDS = {
    "train": Command("train a network", "rws.commands.train"),
    "val": Command("measure trained networks on a list of images", "rws.evaluate.command"),
    "predict": Command("segment photographs and films", "rws.commands.predict"),
    "guide": Command("say what a network misses, stage by stage", "rws.look.guide"),
    "report": Command("write the page of a run again", "rws.report.__main__"),
    "plan": Command("say what a run will cost before it begins", "rws.cost.command"),
    "bench": Command("say where a cycle spends its time", "rws.cost.bench"),
    "check": Command("look at every file of a data set", "rws.commands.check"),
    "export": Command("write a network as ONNX, TorchScript or torch.export", "rws.commands.export"),
    "compare": Command("train several ways over seeds, at equal budget", "rws.compare.__main__"),
    "compare join": Command("join results of several machines", "rws.compare.join"),
    "compare ways": Command("measure ways to predict at equal compute", "rws.compare.ways"),
    "compare schedule": Command("compare epoch by epoch, other trainings uncounted", "rws.compare.schedule"),
    "compare films": Command("measure ways to predict films", "rws.compare.films"),
    "import": Command(
        "take annotations of COCO, labelme, CVAT, YOLO, VOC or Roboflow", "rws.data.import_.__main__"
    ),
    "download": Command("get a data set, or weights", "rws.data.download.__main__"),
    "stages": Command("list the modules of a network that could be stages", "rws.commands.stages"),
    "completion": Command("print what completes these words in bash or zsh", "rws.commands.completion"),
}


def load(name: str) -> ModuleType:
    """The module of a command."""
    return import_module(COMMANDS[name].module)


def help_text() -> str:
    """What `rws --help` shows."""
    rows = "\n".join(f"  {name:21} {command.meaning}" for name, command in COMMANDS.items())
    return (
        "RWS: segmentation networks that show where they look away, and learn from it.\n\n"
        f"usage: rws COMMAND [FLAGS]\n\n{EXAMPLES}\n\n{rows}\n\n"
        "`rws COMMAND --help` shows its flags. `python -m rws` is the same command.\n"
    )


def split(words: list[str]) -> tuple[str, list[str]]:
    """The command that a command line names, and the words that are left for it.

    Raises: UserError for an unknown command.
    """
    name, *rest = words
    _check(name, (each for each in COMMANDS if " " not in each))
    parts = [each.partition(" ")[2] for each in COMMANDS if each.startswith(f"{name} ")]
    if parts and rest and not rest[0].startswith("-"):
        _check(rest[0], parts)
        return f"{name} {rest[0]}", rest[1:]
    return name, rest


def _check(word: str, known: Iterable[str]) -> None:
    known = list(known)
    if word not in known:
        what = "flag" if word.startswith("-") else "command"
        known = ["--help"] if what == "flag" else known
        near = difflib.get_close_matches(word, known, n=1, cutoff=0.0)[0]
        raise UserError(f"command line: {word}: unknown {what}; the nearest known one is {near}")


def main(words: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    words = sys.argv[1:] if words is None else words
    return exit_code(lambda: _run(words), results="see rws --help", interrupted="interrupted")


def _run(words: list[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        from rws.runtime.bars import say

        say(*help_text().splitlines())
        return 0
    name, rest = split(words)
    keep_freed_memory()
    return load(name).main(rest)
