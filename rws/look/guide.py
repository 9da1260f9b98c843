"""What any network misses, stage by stage, without training: a table and sentences from its heat maps.

    rws guide --checkpoint runs/demo/last.pt
    rws guide --checkpoint runs/demo/last.pt --split train --output out
    rws guide --model deeplabv3_resnet50 --data.name voc2012 --data.root data
    rws guide --model.name smp:Unet:resnet34 --data.name camvid --data.root data/camvid

--model takes a checkpoint, a published network of torchvision, or module:factory; --model.name a network that
is not trained yet. Without --config the data is that of the run in whose folder the checkpoint lies, or
--data.name and --data.root. Further flags are those of `rws train`: --data.*, --model.*,
--slices.missing-images (how many images, evenly spread), --device.
"""

import copy
import sys
from dataclasses import dataclass
from pathlib import Path

from torch import nn

from rws.config import Config
from rws.config.flags import option_flags
from rws.cycle.guidance import guidance, text
from rws.data import Split
from rws.data.eval_images import eval_loader
from rws.errors import Parser, UserError, add_trust, exit_code, trusted_of
from rws.look.beside import check_classes, configuration_of, flag_names, named_network
from rws.method.cams import CamNetwork
from rws.method.score import ScoringResult, looked_at, score_images
from rws.method.stages import SMALL, check_stages, stages_of
from rws.runs import checkpoint as files
from rws.runs.card import Card
from rws.runs.network import make_network
from rws.runs.open_network import as_file, open_network
from rws.runs.record import CycleRecord
from rws.runs.splits import open_list
from rws.runtime.bars import say
from rws.runtime.device import choose_device, memory_format
from rws.runtime.loading import processes_for


@dataclass(frozen=True)
class GuideOptions:
    """What the flags say that are not those of `rws train`."""

    checkpoint: Path | None
    split: str
    output: Path | None
    trusted: tuple[str, ...] = ()
    model: str | None = None

    @property
    def network(self) -> Path | str | None:
        """The trained network that is named, if one is."""
        return self.checkpoint or self.model


def parse_guide(arguments: list[str]) -> tuple[GuideOptions, list[str]]:
    """The options of a command line, and what it holds of flags of `rws train`.

    Raises: UserError for a wrong flag.
    """
    options, flags = make_parser().parse_known_args(arguments)
    checkpoint, model = options.checkpoint, options.model
    if checkpoint and model:
        raise UserError("--checkpoint and --model name a network each; give one of them")
    if model and (path := as_file(model)):
        checkpoint, model = path, None
    return GuideOptions(checkpoint, options.split, options.output, trusted_of(options), model), flags


def make_parser() -> Parser:
    """What reads the flags of the command that are not those of `rws train`."""
    parser = Parser("rws guide", __doc__, further=option_flags())
    parser.add_argument("--checkpoint", type=Path, help="best.pt, last.pt or another network of a run")
    parser.add_argument("--split", choices=("train", "val"), default="val", help="images to look at (val)")
    parser.add_argument("--output", type=Path, help="folder for guidance.json and guidance.png")
    parser.add_argument(
        "--model", metavar="NAME", help="a checkpoint, a published network, or module:factory"
    )
    add_trust(parser)
    return parser


def _configuration(options: GuideOptions, flags: list[str]) -> Config:
    """Flags over --config, or over the configuration beside the checkpoint, or over the defaults."""
    names = flag_names(flags)
    if options.network is None and not names & {"--model.name", "--config"}:
        raise UserError("nothing to look at: give --model NAME, or --model.name NETWORK")
    if options.network is not None and "--model.name" in names:
        raise UserError(f"{options.network} is a network of its own; drop --model.name, or drop that")
    return configuration_of(options.checkpoint, flags)


def _untrained(config: Config, split: Split) -> tuple[nn.Module, Card]:
    """The network that the configuration names, with its initial weights, and its card."""
    network, _ = make_network(config, split.classes.num_classes, choose_device(config.device))
    stages = stages_of(config.model, network)
    check_stages(network, stages, config.data.crop_size)
    say(*(f"note: {note}" for note in getattr(network, "notes", ())))
    card = Card(config.model.name, config.model.aux, stages, split.classes, config.data.base_size)
    return network.eval(), card


def look(network: nn.Module, card: Card, split: Split, config: Config) -> ScoringResult:
    """Score about `slices.missing_images` images of a split, evenly spread."""
    part = copy.copy(split)
    chosen = looked_at(split.ids, config.slices.missing_images)
    part.ids = [image_id for image_id in split.ids if image_id in chosen]
    workers = processes_for(config.data.workers)
    batches = eval_loader(part, card.transform(), config.train.eval_batch_size, workers)
    return score_images(CamNetwork(network, card.stages, card.classes), batches, part.ids, config.slices)


def _write(folder: Path, facts: dict, cycles: list[CycleRecord]) -> None:
    from rws.look.guidance_plot import save  # matplotlib is loaded only for those who look

    folder.mkdir(parents=True, exist_ok=True)
    files.write_result(folder / "guidance.json", facts)
    if facts["guidance"]:
        title = f"{facts['checkpoint'] or facts['network']} on {facts['data']}, list {facts['list']}"
        save(cycles, folder / "guidance.png", title)
    say(f"written: {folder}")


def guide(options: GuideOptions, flags: list[str]) -> None:
    """Look at a network and say what it misses.

    Raises: UserError for whatever is wrong.
    """
    config, name = _configuration(options, flags), options.network
    if options.output is not None and options.output.exists() and not options.output.is_dir():
        raise UserError(f"--output {options.output}: is a file; give a folder")
    trusted = options.trusted + named_network(flags, config)
    trained = open_network(name, trusted, weights_dir=config.model.weights_dir) if name else None
    list_name = config.data.train_list if options.split == "train" else config.data.val_list
    split = open_list(config.data, options.split, list_name)
    network, card = trained or _untrained(config, split)
    if trained:
        check_classes(name, card, split)
        check_stages(network, card.stages, SMALL)
        device, channels_last = choose_device(config.device), config.model.channels_last
        network = network.to(device, memory_format=memory_format(channels_last))
    scores = look(network, card, split, config)
    cycles = [CycleRecord(0, attention=scores.attention)]
    found = guidance(cycles)
    kind = "training" if options.split == "train" else "validation"
    say(f"{name or card.network} on {config.data.name}, list {list_name}")
    say(*text(found, f"{kind} images").split("\n"))
    say(f"weak slices: {scores.weak:,} of {scores.windows:,} windows")
    if options.output is not None:
        facts = {"network": card.network, "checkpoint": str(options.checkpoint or "")}
        facts |= {"data": config.data.name, "list": list_name}
        facts |= {"weak_slices": scores.weak, "windows": scores.windows}
        facts |= {"missing_weight": scores.missing, "attention": scores.attention}
        _write(options.output, facts | {"guidance": list(found.sentences)}, cycles)


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    return exit_code(
        lambda: guide(*parse_guide(arguments)),
        results="results are written into --output",
        interrupted="interrupted; nothing was written",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
