"""Networks scored on a list of a data set: opened, predicted image by image, counted and written."""

import csv
import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
import yaml

from rws.config import Config
from rws.data import SPLITS, Split
from rws.data.levels import Levels
from rws.errors import UserError
from rws.evaluate.evaluation import Evaluation
from rws.evaluate.groups import size_masks
from rws.evaluate.intervals import bootstrap
from rws.evaluate.names import NAMES, check_passes
from rws.evaluate.pictures import Worst, draw_confusion
from rws.evaluate.predictions import predictions
from rws.evaluate.scores import miou
from rws.evaluate.tally import Scores, Tally
from rws.evaluate.ways import Trained, make_ways
from rws.look.beside import check_classes, configuration_of, flag_names, named_network
from rws.predict.backends import in_backend
from rws.predict.images import make_output
from rws.predict.inference import prepare_for_prediction
from rws.predict.predictor import levels_for, titles_of
from rws.predict.ways import TORCH, backend_device, require_torch
from rws.runs.card import Card
from rws.runs.checkpoint import read_json, write_result, write_text
from rws.runs.log import environment
from rws.runs.open_network import as_file, open_network
from rws.runs.splits import open_list
from rws.runtime.device import choose_device
from rws.runtime.files import save_picture

WORST = 12  # images on a sheet


@dataclass(frozen=True)
class ValCommand:
    """Which networks to score, on what and in which ways.

    networks: what `open_network` takes. flags: those of train.py, which name the data. list_name: of the
    data, else its list of validation. passes: forward passes an image on the average, of the ways that see
    windows again; 3 unless told. output: a folder, or None to write nothing. worst: images on a sheet.
    trusted: networks of one's own that a checkpoint may ask for. backend: the program that runs them, one of
    BACKENDS.
    """

    networks: tuple[str | Path, ...]
    flags: tuple[str, ...] = ()
    list_name: str | None = None
    ways: tuple[str, ...] = ("plain",)
    passes: float | None = None
    output: Path | None = None
    worst: int = WORST
    trusted: tuple[str, ...] = ()
    backend: str = TORCH


def val(
    networks: str | Path | Sequence[str | Path],
    *,
    data: Mapping[str, object] | None = None,
    list: str | None = None,
    ways: str | Sequence[str] = ("plain",),
    passes: float | None = None,
    output: str | Path | None = None,
    trusted: Sequence[str] = (),
    backend: str = TORCH,
) -> Evaluation:
    """A trained network, or several side by side, scored on a list of a data set.

    networks: one or several, each a checkpoint, a published network, or `module:factory`. data: options of
    the data by name, as {"name": "camvid", "root": "data/camvid"}; what is not there is as in the
    configuration beside the first checkpoint. list: its list of validation unless another is named. ways: one
    way to predict or several, by name. passes: forward passes an image on the average, of the ways that see
    windows again; 3 unless told. output: a folder for val.json and pictures; nothing is written without it.
    trusted: networks of your own, `module:factory`, that a checkpoint may ask for. backend: the program that
    runs the networks, "torch", "onnxruntime", "openvino" or "openvino-bf16"; the others are faster on a CPU.

    Raises: UserError for a network, data, a list or a way that cannot be used.
    """
    several = (networks,) if isinstance(networks, str | Path) else networks
    if not isinstance(several, Sequence) or any(not isinstance(each, str | Path) for each in several):
        raise UserError(
            f"rws.val: takes the file or the name of a network, or several, not {networks!r}; give that with "
            "which rws.load loaded it"
        )
    flags = tuple(f"--data.{key}={_text(value)}" for key, value in (data or {}).items())
    folder = None if output is None else Path(output)
    ways = (ways,) if isinstance(ways, str) else tuple(ways)
    command = ValCommand(tuple(several), flags, list, ways, passes, folder, WORST, tuple(trusted), backend)
    try:
        return validate(command)
    except UserError as error:
        raise UserError(str(error).removeprefix("command line: ").removeprefix("--")) from None


def _text(value: object) -> str:
    """A value as one writes it in YAML."""
    if isinstance(value, str | Path):
        return str(value)
    return yaml.safe_dump(value, default_flow_style=True).removesuffix("...\n").strip()


def validate(command: ValCommand) -> Evaluation:
    """Score the networks of a command, and write the results where it says.

    Raises: UserError for whatever is wrong.
    """
    if not command.networks:
        raise UserError("nothing to score: give a network")
    make_ways(command.ways, command.passes)  # a wrong way is told before anything is loaded
    check_passes(command.passes, command.ways)
    if "attention" in command.ways:
        require_torch("--ways attention", command.backend)
    files = [file for file in map(as_file, command.networks) if file]
    config = configuration_of(files[0] if files else None, [*command.flags])
    networks = load_networks(command, config)
    list_name = command.list_name or config.data.val_list
    # A set may have its training and test images in other places than those of validation.
    own = list_name in SPLITS and list_name != config.data.val_list
    split = open_list(config.data, list_name if own else "val", list_name)
    for name, trained in zip(command.networks, networks.values()):
        check_classes(name, trained.card, split)
    if "--data.range" not in flag_names([*command.flags]):
        read_as_trained(split, [trained.card for trained in networks.values()])
    if command.output is not None:
        make_output(command.output)
    tallies, sheets = {}, {}
    for title, trained in networks.items():
        tallies[title], sheets[title] = _counted(command, title, trained, split)
    found = Evaluation(
        config.data.name,
        list_name,
        len(split),
        split.classes.names,
        _compared(tallies),
        {title: str(name) for title, name in zip(networks, command.networks)},
        environment(_device(command, config)) | {"backend": command.backend},
    )
    if command.output is not None:
        write(found, sheets, command.output)
    return found


def read_as_trained(split: Split, cards: Sequence[Card]) -> None:
    """Have images of more than 8 bits read in the range that networks were trained with, as in prediction.

    Raises: UserError for such images where the networks were trained with different ones.
    """
    known, own = levels_for(cards, split.find_image(split.ids[0])), split.reading.levels
    if known and (own is None or own.ends != known):
        split.reading = replace(split.reading, levels=Levels(*known))


def load_networks(command: ValCommand, config: Config) -> dict[str, Trained]:
    """The networks by title, on the device.

    Raises: UserError for one that cannot be used, and where maps are asked of one without stages.
    """
    device = _device(command, config)
    trusted = command.trusted + named_network([*command.flags], config)
    networks = {}
    for title, name in zip(titles_of(command.networks), command.networks):
        if title in networks:
            raise UserError(f"{name}: is there twice; name each once")
        network, card = open_network(name, trusted, weights_dir=config.model.weights_dir)
        network = in_backend(prepare_for_prediction(network, device), card, command.backend, name)
        trained = Trained(network, card)
        if "attention" in command.ways:
            trained.require_stages(str(name))
        networks[title] = trained
    return networks


def _device(command: ValCommand, config: Config) -> torch.device:
    """The device that is asked for; another backend than torch does not mind where a run was trained."""
    own = command.backend == TORCH or "--device" in flag_names([*command.flags])
    return choose_device(backend_device(command.backend, config.device if own else "auto"))


def _counted(
    command: ValCommand, title: str, trained: Trained, split: Split
) -> tuple[dict[str, Tally], dict[str, Worst]]:
    """What a network predicts of all images, by way, and the worst images of each."""
    classes = trained.card.classes
    ways = make_ways(command.ways, command.passes)
    tallies = {name: Tally(classes) for name in ways}
    worst = {name: Worst(classes, command.worst) for name in ways}
    for photo, predicted in predictions(trained, split, split.ids, ways, f"val {title}"):
        sizes = size_masks(photo.label, classes.ignore_index)
        for name, each in predicted.items():
            worst[name].offer(tallies[name].add(photo, each, sizes), photo, each.label)
    return tallies, worst


def _compared(tallies: dict[str, dict[str, Tally]]) -> dict[str, dict[str, Scores]]:
    """The scores, with differences of the ways to the first one, and of networks to the first one."""
    first_network = next(iter(tallies.values()))
    first_way = next(iter(first_network))
    return {
        title: {
            name: each.scores(
                to_first_way=_difference(each, ways[first_way]),
                to_first_network=_difference(each, first_network[name]),
            )
            for name, each in ways.items()
        }
        for title, ways in tallies.items()
    }


def _difference(ours: Tally, theirs: Tally) -> dict | None:
    """Of mIoU, paired by image; None for one and the same."""
    if ours is theirs:
        return None
    sides = [np.array([[*tally.overlaps.values()]]) for tally in (ours, theirs)]
    found = bootstrap(*sides, miou)
    return {key: found[key] for key in ("mean", "low", "high")}


def write(found: Evaluation, sheets: dict[str, dict[str, Worst]], folder: Path) -> None:
    """val.json, and of each network and way the confusion as CSV and PNG and a sheet of the worst images.

    Those that an earlier val.json of the folder tells of are taken away first: they may be of other weights.
    """
    _take_away_earlier(folder)
    write_result(folder / "val.json", found.as_dict())
    for title, ways in found.networks.items():
        for way, scores in ways.items():
            name = _file_name(title, way, found.networks)
            said = f"{title}: {way} on {found.data}, list {found.list}"
            write_text(folder / f"confusion_{name}.csv", _csv(scores.confusion, found.classes))
            draw_confusion(scores.confusion, found.classes, folder / f"confusion_{name}.png", said)
            if sheets[title][way].shown:
                sheet = sheets[title][way].sheet(f"worst images of {said}")
                save_picture(sheet, folder / f"worst_{name}.jpg")


def _file_name(title: str, way: str, networks: Collection[str]) -> str:
    """What the files of a network and a way are called, after their kind."""
    return way if len(networks) == 1 else f"{title.replace('/', '_')}_{way}"


def _take_away_earlier(folder: Path) -> None:
    try:
        networks = read_json(folder / "val.json")["networks"]
        found = [(title, way) for title, ways in networks.items() for way in ways if way in NAMES]
    except (OSError, UserError, LookupError, TypeError, AttributeError):
        return  # none, or another's
    for title, way in found:
        name = _file_name(title, way, networks)
        for file in (f"confusion_{name}.csv", f"confusion_{name}.png", f"worst_{name}.jpg"):
            (folder / file).unlink(missing_ok=True)


def _csv(confusion: list[list[int]], names: tuple[str, ...]) -> str:
    """Pixels by label (rows) and prediction (columns)."""
    text = io.StringIO()
    table = csv.writer(text, lineterminator="\n")
    table.writerow(["labelled \\ predicted", *names])
    table.writerows([name, *row] for name, row in zip(names, confusion))
    return text.getvalue()
