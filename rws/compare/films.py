"""Ways to predict films, of which `--ways rws` chooses its windows by the frame before or by the same frame.

    rws compare films --root DAVIS --of runs/fair_cow/0/plain/best.pt cows cow

Predicts sequences of DAVIS with finished networks in every way, measures region similarity J and contour
accuracy F of one class against their masks, and writes films.json and films.md into experiments/films. Each
`--of` names a network, sequences and the class. Frames a second are of the processor's time, from a frame in
memory to its label; the ways take turns at each frame.
"""

import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from rws.compare.tables import machine_line, table
from rws.errors import Parser, UserError, add_trust, exit_code, trusted_of
from rws.evaluate.names import AVERAGED
from rws.method.look_again import Look, look_at_images
from rws.predict.film_look import FilmLook
from rws.predict.inference import predict_label
from rws.predict.predictor import Predictor, load_predictors, titles_of
from rws.predict.video.frames import Source
from rws.predict.video.pictures import open_sequences
from rws.predict.video.scores import Scores
from rws.predict.ways import LookAgain, PredictOptions
from rws.runs.checkpoint import write_result, write_text
from rws.runs.log import environment
from rws.runtime.bars import say, tracked

PASSES = (2, 3)
MEANINGS = {
    "plain, flip": "one pass; the mean with the mirror image",
    "before_K": "K passes a frame on the average, the windows chosen by the frame before (`--ways rws`)",
    "same_K": "the same, the windows of each frame chosen by its own first pass",
}
HEAD = ["network", "sequence", "way", "passes", "J", "F", "J&F", "frames a second"]
CPU = torch.device("cpu")

Way = Callable[[Image.Image], tuple[np.ndarray, float]]  # label (H, W) uint8, and its passes


def make_ways(predictor: Predictor) -> dict[str, Way]:
    """Every way by name, good for one film."""
    network, card = predictor.network, predictor.card

    def augmented(name: str, tta: str, image: Image.Image) -> tuple[np.ndarray, float]:
        return predict_label(network, card, image, tta), AVERAGED[name]

    def again(look: Look, image: Image.Image) -> tuple[np.ndarray, float]:
        found = look(network, card, image)
        return found.label(), found.passes

    ways: dict[str, Way] = {
        "plain": partial(augmented, "plain", "none"),
        "flip": partial(augmented, "flip", "flip"),
    }
    for passes in PASSES:
        look = LookAgain(passes)
        ways[f"before_{passes}"] = partial(again, FilmLook(look))
        ways[f"same_{passes}"] = partial(again, look_at_images(look))
    return ways


def measure(predictor: Predictor, source: Source, category: str) -> dict:
    """Mean J and F of a sequence, passes and seconds a frame of every way.

    Raises: UserError for an unknown class, and a sequence without masks.
    """
    ways = make_ways(predictor)
    scores, passes, seconds = Scores([predictor] * len(ways), category), [], []
    for frame in tracked(source.frames(), total=source.count, desc=source.name, unit=" frames"):
        if (mask := source.mask(frame.name)) is None:
            continue
        labels, taken, spent = zip(*(_timed(way, frame.image) for way in ways.values()))
        scores.add(labels, mask, frame.name)
        passes.append(taken)
        seconds.append(spent)
    if not passes:
        raise UserError(f"{source.name}: has no masks to measure against")
    means = zip(ways, scores.rows(), np.mean(passes, 0).tolist(), np.mean(seconds, 0).tolist())
    found = {name: {"j": row[0], "f": row[3], "passes": p, "seconds": s} for name, row, p, s in means}
    return {"sequence": source.name, "class": category, "frames": len(passes), "ways": found}


def _timed(way: Way, image: Image.Image) -> tuple[np.ndarray, float, float]:
    started = time.process_time()
    label, passes = way(image)
    return label, passes, time.process_time() - started


def mean_of(measured: list[dict]) -> dict[str, dict[str, float]]:
    """Of every way the mean over networks and sequences; frames count alike in the seconds and passes."""
    frames = [each["frames"] for each in measured]
    weights = {"j": None, "f": None, "passes": frames, "seconds": frames}
    return {
        name: {
            key: float(np.average([m["ways"][name][key] for m in measured], weights=w))
            for key, w in weights.items()
        }
        for name in measured[0]["ways"]
    }


def render(record: dict) -> str:
    """films.md."""
    said = (
        "Nothing retrained. J and F in percent, means over the frames; passes a frame; frames a second of "
        "the processor's time, from a frame in memory to its label. In the mean each sequence of a network "
        "counts alike, and each frame in the speed."
    )
    rows = []
    for each in record["measured"]:
        rows += _rows([each["network"], f"{each['sequence']}, {each['class']}"], each["ways"])
    rows += _rows(["mean", ""], record["mean"])
    meanings = "\n".join(f"- {way}: {meaning}" for way, meaning in MEANINGS.items())
    machine = machine_line(record["environment"], "rws.compare.films")
    return f"# Ways to predict films\n\n{said}\n\n{table(HEAD, rows)}\n\n{meanings}\n\n{machine}\n"


def _rows(whose: list[str], ways: dict) -> list[list[str]]:
    return [
        [
            *whose,
            name,
            f"{each['passes']:.2f}",
            *(f"{value:.2f}" for value in (each["j"], each["f"], (each["j"] + each["f"]) / 2)),
            f"{1 / each['seconds']:.2f}",
        ]
        for name, each in ways.items()
    ]


def run(root: Path, asked: Sequence[Sequence[str]], out: Path, trusted: Sequence[str]) -> None:
    """Measure each network with its sequences; the results are written anew after every sequence.

    Raises: UserError for a network, a sequence or a class that cannot be used.
    """
    where, files = environment(CPU), [network for network, _, _ in asked]
    predictors = load_predictors(files, titles_of(files), CPU, PredictOptions(), trusted)
    measured = []
    for predictor, (_, sequences, category) in zip(predictors, asked):
        for source in open_sequences(root, sequences, None):
            found = measure(predictor, source, category)
            measured.append({"network": predictor.title, **found})
            record = {"measured": measured, "mean": mean_of(measured), "environment": where}
            write_result(out / "films.json", record)
            write_text(out / "films.md", render(record))


def make_parser() -> Parser:
    """What reads the flags of the command."""
    parser = Parser("rws compare films", __doc__)
    parser.add_argument("--root", type=Path, required=True, help="folder of DAVIS")
    parser.add_argument(
        "--of",
        nargs=3,
        action="append",
        required=True,
        metavar=("NETWORK", "SEQUENCES", "CLASS"),
        help="a checkpoint, sequences with commas between them, and the class that their masks show",
    )
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; default: 1")
    parser.add_argument("--out", type=Path, default=Path("experiments/films"))
    add_trust(parser)
    return parser


def main(arguments: list[str]) -> int:
    """Run the command line; the exit code."""

    def command() -> None:
        chosen = make_parser().parse_args(arguments)
        torch.set_num_threads(chosen.threads)
        run(chosen.root, chosen.of, chosen.out, trusted_of(chosen))
        say(*(chosen.out / "films.md").read_text().split("\n"))

    return exit_code(
        command,
        results="results are written into --out",
        interrupted="interrupted; what was measured before is in --out",
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
