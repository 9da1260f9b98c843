"""RWS at test time beside test-time augmentation that takes as many forward passes.

    rws compare at_test_time --config voc_cat --data.root DIR --arms plain rws

Takes the finished runs of an experiment, predicts the list that it reports in every way, and writes
refine.json and refine.md into experiments/<name>. Flags as for `rws compare`; `--most` slices an image
at most, by default four, so that an image costs at most the six forward passes of `--tta ms_flip`; `--ways`
measures some of the ways alone.
"""

import statistics
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rws.compare.__main__ import experiment_parser
from rws.compare.arms import artifacts_of, folder_of
from rws.compare.intervals import difference, spread
from rws.compare.plan import Plan, make_plan, read_experiment
from rws.compare.tables import interval, mean_and_deviation, table
from rws.config import Config, SliceConfig
from rws.core.labels import likeliest
from rws.errors import Parser, UserError, exit_code
from rws.evaluate.groups import confusion_of
from rws.evaluate.scores import class_ious
from rws.method.cams import CamNetwork
from rws.predict.inference import predict_label
from rws.predict.refine import SLICES, refine
from rws.runs.checkpoint import write_result, write_text
from rws.runs.model_file import Card, load_trained
from rws.runs.splits import open_list
from rws.runtime.bars import say, tracked
from rws.runtime.device import choose_device, device_of, memory_format

WAYS = {
    "plain": "the network alone",
    "flip": "and mirrored, averaged (`--tta flip`)",
    "ms_flip": "three scales, each mirrored, averaged (`--tta ms_flip`)",
    "quarters": "the whole image and its four enlarged quarters, averaged in place (`--tta quarters`)",
    "quarters_flip": "and mirrored (`--tta quarters_flip`)",
    "zoom": "the whole image and the weak slices, averaged in place",
    "fused": "the whole image with the slices' features blended in",
    "refine": "the mean of plain, fused and the slices (`--refine`)",
}
# Those of `--tta`, and the forward passes that they take for an image; the others need weak slices.
PASSES = {"plain": 1, "flip": 2, "ms_flip": 6, "quarters": 5, "quarters_flip": 10}


def measure_run(config: Config, list_name: str, most: int, ways: Sequence[str]) -> dict:
    """Confusion and forward passes an image of some ways, for one finished run.

    Raises: UserError for a run that has not been finished.
    """
    path = artifacts_of(config).last
    if not (folder_of(config) / "report.json").is_file():
        raise UserError(f"{folder_of(config)}: not finished; run `rws compare` first")
    network, card = load_trained(path, [config.model.name])
    network = network.to(
        choose_device(config.device), memory_format=memory_format(config.model.channels_last)
    )
    scored = CamNetwork(network.eval(), card.stages, card.classes)
    split = open_list(config.data, "val", list_name)
    slices = replace(SLICES, most_per_image=most)
    counts, taken = {}, {}
    for image_id in tracked(split.ids, desc=str(path.parent), unit="image", leave=False):
        image, label = split.image(image_id), split.label(image_id)
        for way, (predicted, passes) in _labels(scored, card, image, slices, ways).items():
            known = label != card.classes.ignore_index
            confusion = confusion_of(predicted, label, known, card.classes.num_classes)
            counts[way] = counts.get(way, 0) + confusion
            taken[way] = taken.get(way, 0) + passes
    return {
        "list": list_name,
        "images": len(split),
        "device": str(device_of(network)),
        "confusion": {way: counts[way].tolist() for way in ways},
        "passes": {way: taken[way] / len(split) for way in ways},
    }


def _labels(
    scored: CamNetwork, card: Card, image: Image.Image, slices: SliceConfig, ways: Sequence[str]
) -> dict[str, tuple[np.ndarray, int]]:
    """The label of an image by each way, (H, W), and the forward passes that it took."""
    labels = {}
    for way in (way for way in ways if way in PASSES):
        tta = "none" if way == "plain" else way
        labels[way] = predict_label(scored.network, card, image, tta), PASSES[way]
    if set(ways) <= set(PASSES):
        return labels
    found = refine(scored, card, image, slices)
    maps = {"zoom": found.zoom_mean, "fused": found.fused, "refine": found.mean}
    for way, probabilities in maps.items():
        label = likeliest(probabilities[None], (image.height, image.width)).cpu().numpy()
        labels[way] = label, found.passes - (way == "zoom" and found.passes > 1)
    return {way: labels[way] for way in ways}


def _miou(confusion: list[list[int]]) -> float:
    """Mean over the classes that are labelled or predicted, as `rws train` has it."""
    return statistics.fmean(iou for iou in class_ious(confusion) if iou is not None)


def results(measured: dict[str, list[dict]]) -> dict:
    """mIoU of every arm and way, and paired differences by seed.

    against_alone: to the same network's plain prediction. against_zoom: to its slices averaged in place.
    against_plain: to the arm plain and its plain prediction. against_plain_so: to the arm plain in the same
    way. Those that were not measured are left out.
    """
    mious = {
        arm: {way: [_miou(run["confusion"][way]) for run in runs] for way in runs[0]["confusion"]}
        for arm, runs in measured.items()
    }
    plain = mious.get("plain", {})
    found = {}
    for arm, by_way in mious.items():
        found[arm] = {}
        for way, values in by_way.items():
            to = {"alone": by_way.get("plain"), "zoom": by_way.get("zoom")}
            to |= {"plain": plain.get("plain"), "plain_so": plain.get(way)}
            found[arm][way] = {
                "miou": spread(values),
                **{f"against_{name}": difference(values, other) for name, other in to.items() if other},
                "passes": statistics.fmean(run["passes"][way] for run in measured[arm]),
            }
    return found


COLUMNS = {
    "against_alone": "against itself alone",
    "against_zoom": "against its zoom",
    "against_plain": "against plain alone",
    "against_plain_so": "against plain, same prediction",
}


def render(name: str, found: dict, first: dict, seeds: list[int], most: int) -> str:
    """refine.md."""
    said = (
        f"{first['images']} images of the list `{first['list']}`; seeds {', '.join(map(str, seeds))}. mIoU "
        "in percent, ± standard deviation over seeds; differences are paired by seed, in brackets their 95 % "
        "interval (Student's t). Passes are forward passes an image."
    )
    if "zoom" in first["confusion"]:
        said += (
            f" zoom, fused and refine have at most {most} slices an image, chosen by the network's own "
            "prediction, and take backward passes for maps, too."
        )
    columns = {key: title for key, title in COLUMNS.items() if key in next(iter(found.values()))["plain"]}
    rows = [
        [
            arm,
            way,
            mean_and_deviation(each["miou"]),
            *(interval(each[key]) for key in columns),
            f"{each['passes']:.1f}",
        ]
        for arm, ways in found.items()
        for way, each in ways.items()
    ]
    head = ["arm", "prediction", "mIoU", *columns.values(), "passes"]
    meanings = "\n".join(f"- {way}: {WAYS[way]}" for way in first["confusion"])
    return f"# {name}: at test time\n\n{said}\n\n{table(head, rows)}\n\n{meanings}\n"


def run(plan: Plan, out: Path, most: int, ways: Sequence[str] = tuple(WAYS)) -> None:
    """Measure every arm and seed of a plan by some ways, `plain` among them, and write the results."""
    experiment = plan.experiment
    measured = {
        arm: [
            measure_run(config, experiment.report_list or config.data.val_list, most, ways)
            for config in (plan.config(arm, seed) for seed in plan.seeds)
        ]
        for arm in plan.arms
    }
    found = results(measured)
    write_result(out / "refine.json", {"most": most, "seeds": plan.seeds, "runs": measured, "results": found})
    first = next(iter(measured.values()))[0]
    write_text(out / "refine.md", render(experiment.name, found, first, plan.seeds, most))


def make_parser() -> Parser:
    """What reads the flags of the command that are not those of `rws train`."""
    parser = experiment_parser("rws compare at_test_time", __doc__)
    parser.add_argument("--most", type=int, default=4, help="slices an image at most")
    parser.add_argument("--ways", nargs="+", choices=WAYS, default=list(WAYS), help="default: all")
    return parser


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen, flags = make_parser().parse_known_args(arguments)
        experiment = read_experiment(chosen.config)
        experiment = replace(experiment, name=chosen.name or experiment.name)
        plan = make_plan(experiment, flags, chosen.seeds, chosen.arms)
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        out = chosen.out or Path("experiments") / experiment.name
        run(plan, out, chosen.most, [way for way in WAYS if way == "plain" or way in chosen.ways])
        say(*(out / "refine.md").read_text().split("\n"))

    return exit_code(
        command,
        results="results are written into --out",
        interrupted="interrupted; nothing was written",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
