"""How right the targets are that two teachers gave to photographs that have labels, and where they differ.

    python -m tools.taught_targets --run RUN --other RUN

Each RUN is the folder of a finished run with `data.unlabelled rest`; the labels are used for this alone. It
prints JSON: the mIoU of both, the share of pixels in which they differ, and of these how often each is right;
how sure the other is where it is right, and how much of that is left if only what is sure by 0.9 is taught.
"""

import argparse
import json
import sys
from pathlib import Path

import cv2
import numpy as np
import torch
import yaml

from rws.cli import flatten, parse
from rws.cycle.artifacts import Artifacts
from rws.data.targets import decoded
from rws.errors import exit_code
from rws.runs.identity import STORED
from rws.runs.splits import open_all
from rws.runtime.bars import say, tracked
from rws.training.evaluation import confusion_matrix, iou_per_class, mean_iou

SURE = 0.9


class Comparison:
    """Two teachers' targets, held against labels image by image."""

    def __init__(self, num_classes: int, ignore_index: int):
        self.ignore_index = ignore_index
        self.confusions = [confusion_matrix(num_classes, ignore_index) for _ in range(2)]
        self.counts = dict.fromkeys(("pixels", "differ", "one_right", "other_right", "other_sure"), 0)
        self.sureness = 0.0

    def add(self, one: np.ndarray, other: np.ndarray, label: np.ndarray) -> None:
        """Shape: targets (4, H, W) uint8, label (H, W) uint8."""
        for confusion, target in zip(self.confusions, (one, other)):
            confusion.update(torch.from_numpy(target[0].astype(int)), torch.from_numpy(label.astype(int)))
        known = label != self.ignore_index
        differ = known & (one[0] != other[0])
        mended = differ & (other[0] == label)
        found = {
            "pixels": known,
            "differ": differ,
            "one_right": differ & (one[0] == label),
            "other_right": mended,
            "other_sure": mended & (other[1] >= SURE * 255),
        }
        for name, mask in found.items():
            self.counts[name] += int(mask.sum())
        self.sureness += float(other[1][mended].sum()) / 255

    def found(self) -> dict:
        """What was found, in percent."""
        c = self.counts
        of_differing = {k: c[k] / max(1, c["differ"]) for k in ("one_right", "other_right")}
        mended = max(1, c["other_right"])
        shares = {"differ": c["differ"] / max(1, c["pixels"]), **of_differing}
        shares |= {
            "sure_where_mended": self.sureness / mended,
            "mended_kept_if_sure": c["other_sure"] / mended,
        }
        mious = [100 * mean_iou(iou_per_class(confusion.compute())) for confusion in self.confusions]
        return {"miou": mious, **{name: 100 * share for name, share in shares.items()}}


def compare(run: Path, other: Path) -> dict:
    """Raises: UserError for a run whose targets or photographs are not there."""
    stored = flatten(yaml.safe_load((run / STORED).read_text()))
    photographs = open_all(parse([], {**stored, "data.partial": True}).config.data)[2]
    targets = [Artifacts(folder).targets(0) for folder in (run, other)]
    comparison = Comparison(photographs.classes.num_classes, photographs.classes.ignore_index)
    for image_id in tracked(photographs.ids, "compare", unit="image"):
        one, two = (decoded(each[image_id]).numpy() for each in targets)
        label = cv2.resize(photographs.label(image_id), one.shape[:0:-1], interpolation=cv2.INTER_NEAREST)
        comparison.add(one, two, label)
    return comparison.found()


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter, allow_abbrev=False
    )
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--other", type=Path, required=True)
    chosen = parser.parse_args(arguments)
    return exit_code(
        lambda: say(*json.dumps(compare(chosen.run, chosen.other), indent=1).split("\n")),
        results="nothing is written",
        interrupted="interrupted",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
