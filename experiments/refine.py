"""RWS at test time beside test-time augmentation that takes as many forward passes.

    python -m experiments.refine --config experiments/voc_cat.yaml --data.root DIR --arms plain rws

Takes the finished runs of an experiment, predicts the list that it reports in every way, and writes
refine.json and refine.md into experiments/<name>. Flags as for experiments.compare; `--most` slices an image
at most, by default four, so that an image costs at most the six forward passes of `--tta ms_flip`.
"""

import statistics
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from tqdm import tqdm

from experiments.arms import folder_of
from experiments.compare import options
from experiments.intervals import class_ious, difference, spread
from experiments.measure import confusion_of
from experiments.plan import Plan, make_plan, read_experiment
from experiments.tables import interval, mean_and_deviation, table
from rws.checkpoint import write_json, write_text
from rws.config import Config
from rws.errors import UserError, exit_code
from rws.inference import likeliest, predict_label
from rws.placement import device_of, memory_format
from rws.refine import SLICES, Refined, refine
from rws.scoring import Scored
from rws.setup import choose_device, open_list
from rws.trained import Card, load_trained

WAYS = {
    "plain": "the network alone",
    "flip": "and mirrored, averaged (`--tta flip`)",
    "ms_flip": "three scales, each mirrored, averaged (`--tta ms_flip`)",
    "zoom": "the whole image and the weak slices, averaged in place",
    "fused": "the whole image with the slices' features blended in",
    "refine": "the mean of plain, fused and the slices (`--refine`)",
}


def passes(found: Refined) -> dict[str, int]:
    """Forward passes that each way took for an image."""
    slices = len(found.boxes_yxhw)
    refined = {"zoom": slices + 1, "fused": found.passes, "refine": found.passes}
    return {"plain": 1, "flip": 2, "ms_flip": 6} | refined


def measure_run(config: Config, list_name: str, most: int) -> dict:
    """Confusion and forward passes an image of every way, for one finished run.

    Raises: UserError for a run that has not been finished.
    """
    path = folder_of(config) / "last.pt"
    if not (folder_of(config) / "report.json").is_file():
        raise UserError(f"{folder_of(config)}: not finished; run python -m experiments.compare first")
    network, card = load_trained(path)
    network = network.to(
        choose_device(config.device), memory_format=memory_format(config.model.channels_last)
    )
    scored = Scored(network.eval(), card.stages, card.classes)
    split = open_list(config.data, "val", list_name)
    slices = replace(SLICES, most_per_image=most)
    counts, taken = {}, {}
    for image_id in tqdm(split.ids, desc=str(path.parent), unit="image", leave=False):
        image, label = split.image(image_id), split.label(image_id)
        found = refine(scored, card, image, slices)
        for way, predicted in _labels(scored, card, image, found).items():
            known = label != card.classes.ignore_index
            confusion = confusion_of(predicted, label, known, card.classes.num_classes)
            counts[way] = counts.get(way, 0) + confusion
        for way, number in passes(found).items():
            taken[way] = taken.get(way, 0) + number
    return {
        "list": list_name,
        "images": len(split),
        "device": str(device_of(network)),
        "confusion": {way: counts[way].tolist() for way in WAYS},
        "passes": {way: taken[way] / len(split) for way in WAYS},
    }


def _labels(scored: Scored, card: Card, image: Image.Image, found: Refined) -> dict[str, np.ndarray]:
    """The label of an image by each way; shape (H, W)."""
    maps = {"plain": found.plain, "zoom": found.zoom_mean, "fused": found.fused, "refine": found.mean}
    size = (image.height, image.width)
    labels = {way: likeliest(p[None], size).cpu().numpy() for way, p in maps.items()}
    return labels | {
        tta: predict_label(scored.network, card, image, tta) for tta in WAYS if tta in ("flip", "ms_flip")
    }


def _miou(confusion: list[list[int]]) -> float:
    """Mean over the classes that are labelled or predicted, as train.py has it."""
    return statistics.fmean(iou for iou in class_ious(confusion) if iou is not None)


def results(measured: dict[str, list[dict]]) -> dict:
    """mIoU of every arm and way, and paired differences to the same run's plain and zoomed predictions."""
    found = {}
    for arm, runs in measured.items():
        mious = {way: [_miou(run["confusion"][way]) for run in runs] for way in WAYS}
        found[arm] = {
            way: {
                "miou": spread(values),
                "against_plain": difference(values, mious["plain"]),
                "against_zoom": difference(values, mious["zoom"]),
                "passes": sum(run["passes"][way] for run in runs) / len(runs),
            }
            for way, values in mious.items()
        }
    return found


def render(name: str, found: dict, first: dict, seeds: list[int], most: int) -> str:
    """refine.md."""
    said = (
        f"{first['images']} images of the list `{first['list']}`; seeds {', '.join(map(str, seeds))}; at "
        f"most {most} slices an image, chosen by the network's own prediction. mIoU in percent, ± standard "
        "deviation over seeds; differences are paired by seed, in brackets their 95 % interval (Student's "
        "t). Passes are forward passes an image; zoom, fused and refine take backward passes for maps, too."
    )
    rows = [
        [
            arm,
            way,
            mean_and_deviation(each["miou"]),
            interval(each["against_plain"]),
            interval(each["against_zoom"]),
            f"{each['passes']:.1f}",
        ]
        for arm, ways in found.items()
        for way, each in ways.items()
    ]
    head = ["arm", "prediction", "mIoU", "against plain", "against zoom", "passes"]
    ways = "\n".join(f"- {way}: {meaning}" for way, meaning in WAYS.items())
    return f"# {name}: at test time\n\n{said}\n\n{table(head, rows)}\n\n{ways}\n"


def run(plan: Plan, out: Path, most: int) -> None:
    """Measure every arm and seed of a plan, and write the results."""
    experiment = plan.experiment
    measured = {
        arm: [
            measure_run(config, experiment.report_list or config.data.val_list, most)
            for config in (plan.config(arm, seed) for seed in plan.seeds)
        ]
        for arm in plan.arms
    }
    found = results(measured)
    write_json(out / "refine.json", {"most": most, "seeds": plan.seeds, "runs": measured, "results": found})
    first = next(iter(measured.values()))[0]
    write_text(out / "refine.md", render(experiment.name, found, first, plan.seeds, most))


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    parser = options("experiments.refine", __doc__)
    parser.add_argument("--most", type=int, default=4, help="slices an image at most")
    chosen, flags = parser.parse_known_args(arguments)

    def command() -> None:
        experiment = read_experiment(chosen.config)
        experiment = replace(experiment, name=chosen.name or experiment.name)
        plan = make_plan(experiment, flags, chosen.seeds, chosen.arms)
        if chosen.threads:
            torch.set_num_threads(chosen.threads)
        out = chosen.out or Path("experiments") / experiment.name
        run(plan, out, chosen.most)
        print((out / "refine.md").read_text())

    return exit_code(
        command,
        results="results are written into --out",
        interrupted="interrupted; nothing was written",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
