"""J and F of several networks over the frames of a film, and their table."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from rws.errors import UserError
from rws.predict.predictor import Predictor
from rws.predict.video.j_and_f import contour_accuracy, region_similarity, statistics

VOID = 255
COLUMNS = ("J", "recall", "decay", "F", "recall", "decay", "J&F", "frames")


def foreground_of(predictor: Predictor, category: str | None) -> tuple[int, ...]:
    """The classes of a network that count as the object: the one named, or all but the background.

    Raises: UserError for an unknown class.
    """
    classes = predictor.card.classes
    return classes.foreground if category is None else (classes.index(category),)


@dataclass
class Scores:
    """J and F of each network in each frame that has a mask."""

    predictors: Sequence[Predictor]
    category: str | None
    values: list[list[tuple[float, float]]] = field(default_factory=list)

    def add(self, labels: Sequence[np.ndarray], mask: np.ndarray, name: str) -> None:
        """Measure the labels of a frame.

        Shape: (H, W) each.
        Raises: UserError for a mask of another size.
        """
        void, truth = mask == VOID, (mask > 0) & (mask != VOID)
        row = []
        for predictor, label in zip(self.predictors, labels):
            if label.shape != mask.shape:
                sizes = f"{mask.shape[1]} x {mask.shape[0]}, its frame {label.shape[1]} x {label.shape[0]}"
                raise UserError(f"mask of frame {name}: is {sizes} pixels; replace one of them")
            found = np.isin(label, foreground_of(predictor, self.category))
            row.append((region_similarity(found, truth, void), contour_accuracy(found, truth, void)))
        self.values.append(row)

    def rows(self) -> list[list[float]]:
        """For each network mean, recall and decay of J and of F in percent, and the mean of both means."""
        rows = []
        for place in range(len(self.predictors)):
            j, f = (statistics([frame[place][which] for frame in self.values]) for which in (0, 1))
            numbers = [j.mean, j.recall, j.decay, f.mean, f.recall, f.decay, (j.mean + f.mean) / 2]
            rows.append([100 * number for number in numbers])
        return rows


def score_table(measured: dict[str, Scores]) -> list[str]:
    """Lines with the numbers of each sequence and network, and their means if there are several sequences."""
    rows = [("sequence", "network", *COLUMNS)]
    measured = {name: scores for name, scores in measured.items() if scores.values}
    for name, scores in measured.items():
        for predictor, numbers in zip(scores.predictors, scores.rows()):
            rows.append((name, predictor.title, *(f"{n:.1f}" for n in numbers), str(len(scores.values))))
    if len(measured) > 1:
        of_all = np.mean([scores.rows() for scores in measured.values()], axis=0)
        frames = str(sum(len(scores.values) for scores in measured.values()))
        for predictor, numbers in zip(next(iter(measured.values())).predictors, of_all):
            rows.append(("mean", predictor.title, *(f"{n:.1f}" for n in numbers), frames))
    widths = [max(map(len, column)) for column in zip(*rows)]
    return ["  ".join(_aligned(row, widths)).rstrip() for row in rows] if measured else []


def _aligned(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    return [text.ljust(w) if i < 2 else text.rjust(w) for i, (text, w) in enumerate(zip(row, widths))]
