"""Run one cycle of RWS with networks of six kinds on a few CamVid images, and record that it runs.

    python tools/any_network.py --root data/camvid [--networks NAME ...] [--weights auto]

Writes experiments/any_network/<network>.json, one a network, and prints them all as a table. So few images
and epochs say nothing about accuracy.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import torch  # noqa: E402

from rws.cli import parse  # noqa: E402
from rws.cycle.loop import Run  # noqa: E402
from rws.cycle.setup import prepare  # noqa: E402
from rws.data.sets.voc import IMAGES, LABELS, LIST_FOLDERS, find_list, find_root, read_list  # noqa: E402
from rws.runs.log import environment  # noqa: E402

RECORDS = ROOT / "experiments" / "any_network"
NETWORKS = (
    "pcaa_resnet50",
    "fcn_resnet50",
    "smp:PSPNet:resnet18",
    "smp:DeepLabV3Plus:resnet18",
    "timm:convnext_atto",
    "lraspp_mobilenet_v3_large",
)
TRAIN, VAL = 12, 8  # images, spread evenly over the lists
FLAGS = (
    "--config configs/camvid_light.yaml --cycles.limit 1 --cycles.plain false --device cpu "
    "--data.base-size 96 --data.crop-size [96,128] --data.workers 0 --train.batch-size 4 "
    "--train.eval-batch-size 4 --train.first-epochs 6 --train.epochs 2 --train.eval-every 10 "
    "--slices.most-per-image 1 --cycles.delta 0"
)


def few_images(source: Path, target: Path) -> Path:
    """A set of links to a few images of another."""
    source = find_root(source).resolve()
    lists = target / LIST_FOLDERS[0]
    lists.mkdir(parents=True)
    for folder in (IMAGES, LABELS):
        (target / folder).symlink_to(source / folder)
    for split, count in (("train", TRAIN), ("val", VAL)):
        ids = read_list(find_list(source, split))
        chosen = [ids[k * len(ids) // count] for k in range(count)]
        (lists / f"{split}.txt").write_text("\n".join(chosen) + "\n")
    return target


def record_of(network: str, weights: str, root: Path, machine: dict) -> dict:
    """Run one network; what became of it."""
    with tempfile.TemporaryDirectory() as folder:
        data = few_images(root, Path(folder) / "data")
        flags = f"{FLAGS} --model.name {network} --model.weights {weights}"
        places = ["--data.root", str(data), "--runs", folder, "--name", "run"]
        setup, loaded = prepare(parse([*flags.split(), *places]).config)
        start = time.monotonic()
        summary = Run(setup).run()
        seconds = time.monotonic() - start
    first, last = summary["cycles"][0], summary["cycles"][-1]
    return {
        "network": network,
        "weights": str(loaded),
        "flags": flags,
        "images": {"train": TRAIN, "val": VAL},
        "stages": list(setup.card.stages),
        "weak_slices": [c["weak_slices"] for c in summary["cycles"]],
        "windows": first["windows"],
        "kept_slices": first["kept_slices"],
        "fused_share": last["fused_share"],
        "miou_before": first["miou"][-1],
        "miou_after": last["miou"][-1],
        "stopped": summary["stopped"],
        "seconds": round(seconds, 1),
        **{key: machine[key] for key in ("commit", "torch", "torchvision", "threads", "device", "cores")},
    }


def table(folder: Path = RECORDS) -> str:
    """All records of a folder in Markdown."""
    head = "| network | weak slices of windows | fused share by stage | mIoU before | after | seconds |"
    lines = [head, "|---|---|---|---|---|---|"]
    for path in sorted(folder.glob("*.json")):
        r = json.loads(path.read_text())
        shares = (r["fused_share"] or {}).values()
        share = ", ".join(f"{100 * s:.1f} %" for s in shares) or "nothing was fused"
        weak = f"{r['weak_slices'][0]} of {r['windows']}, {r['kept_slices']} kept"
        cells = (
            r["network"],
            weak,
            share,
            f"{r['miou_before']:.2f}",
            f"{r['miou_after']:.2f}",
            f"{r['seconds']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def main() -> int:
    """Run the command; returns its exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", type=Path, required=True, help="CamVid in VOC layout")
    parser.add_argument("--networks", nargs="*", default=NETWORKS, help="values of --model.name")
    parser.add_argument("--weights", default="none", help="value of --model.weights")
    args = parser.parse_args()
    torch.set_num_threads(1)
    RECORDS.mkdir(exist_ok=True)
    machine = environment(torch.device("cpu"))  # of now: the records themselves change the checkout
    for network in args.networks:
        record = record_of(network, args.weights, args.root, machine)
        path = RECORDS / f"{network.replace(':', '_')}.json"
        path.write_text(json.dumps(record, indent=1) + "\n")
    print(table())
    return 0


if __name__ == "__main__":
    sys.exit(main())
