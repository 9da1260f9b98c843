"""The parts of a cycle, and the seconds of each in a run on a few images."""

import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace

from rws.config import Config
from rws.cost.stopwatch import REST, Stopwatch
from rws.cost.trial import limited
from rws.cycle import artifacts, steps, trainings
from rws.cycle.loop import Run
from rws.cycle.setup import Setup, prepare
from rws.data.batches import steps_per_epoch
from rws.data.boxes import Box
from rws.data.eval_images import EvalImages
from rws.data.sliced_images import SlicedImages
from rws.data.split import Split
from rws.data.views import TrainViews
from rws.evaluate import passes
from rws.look.cam_vis import pictures
from rws.method.bank import Bank, BankWriter
from rws.method.cams import CamNetwork
from rws.method.score import RUN, ScoringResult
from rws.report import write
from rws.runs import checkpoint
from rws.training.training import Training

# The first training is one for each run, those of TRAINING come once a cycle.
FIRST, TRAINING, FIND, SELECT = "first training", "training", "finding", "selection"
AGAIN, REPORT = "look again", "report"
STEP, EVALUATION, READ, AUGMENT = "steps", "evaluation", "reading", "augmenting"
MAPS, BANK, CHECKPOINTS = "maps", "bank", "checkpoints"


def _training(run: object, step: str, k: int, *_: object) -> str:
    return TRAINING if k or step != "whole" else FIRST


# The functions of each part; what a part's functions call of other parts counts for those.
PARTS = (
    (steps, "train", _training),
    (steps, "score_images", FIND),
    (steps, "select_features", SELECT),
    (write, "look_again_at", AGAIN),
    (passes, "bootstrap", REPORT),
    (write, "load_networks", REPORT),
    (write, "make_pictures", REPORT),
    (write, "page", REPORT),
    (Training, "_one_step", STEP),
    (trainings, "evaluate", EVALUATION),
    (TrainViews, "__getitem__", AUGMENT),
    (EvalImages, "__getitem__", AUGMENT),
    (SlicedImages, "__getitem__", AUGMENT),
    (CamNetwork, "maps", MAPS),
    (Bank, "read", BANK),
    (BankWriter, "add", BANK),
    (BankWriter, "close", BANK),
    (checkpoint, "save", CHECKPOINTS),
    (artifacts, "save_trained", CHECKPOINTS),
)
Seconds = Counter[tuple[str, str]]


@dataclass(frozen=True)
class Amounts:
    """How much of everything a run has: cycles, steps of an epoch, images.

    again: validation images that are looked at again at its end.
    """

    cycles: int
    steps: int
    train: int
    val: int
    again: int

    @classmethod
    def of(cls, setup: Setup, cycles: int) -> "Amounts":
        """Those of a run that goes on to its last cycle."""
        config, train, val = setup.config, len(setup.train), len(setup.val)
        again = min(val, config.look_again_images)
        return cls(cycles, steps_per_epoch(train, config.train.batch_size), train, val, again)


@dataclass(frozen=True)
class Measured:
    """Seconds of a run on a few images, as a `Stopwatch` counts them, and what it and the whole run have.

    slices: that were kept of an image, on the average.
    """

    seconds: Seconds
    few: Amounts
    all: Amounts
    slices: float = 0.0

    def whole_run(self) -> Seconds:
        """What the parts take in the whole run: as often as it has the steps and images they are for."""
        return Counter({key: value * self._times(*key) for key, value in self.seconds.items()})

    def _times(self, outer: str, inner: str) -> float:
        once = inner in (CHECKPOINTS, REPORT, REST, *OF_TRAINING) or outer in (REPORT, REST)
        return self._repeats(outer) * (1 if once else self._growth(outer, inner))

    def _repeats(self, outer: str) -> float:
        if outer == FIND:
            return (1 + self.all.cycles) / (1 + self.few.cycles)
        return self.all.cycles / max(1, self.few.cycles) if outer in (TRAINING, SELECT) else 1

    def _growth(self, outer: str, inner: str) -> float:
        if outer == AGAIN:
            return self.all.again / max(1, self.few.again)
        if inner == EVALUATION:
            return self.all.val / self.few.val
        few, many = (
            (self.few.steps, self.all.steps) if outer in OF_TRAINING else (self.few.train, self.all.train)
        )
        return many / few


OF_TRAINING = (FIRST, TRAINING)


def time_cycle(
    config: Config, images: int, clock: Callable[[], float], slices: float | None = None
) -> Measured:
    """Seconds of a run of at most one cycle on some of the images.

    slices: at most so many of an image are kept on the average; as many as are found if None.

    Raises: UserError for whatever would end the run as well.
    """
    with tempfile.TemporaryDirectory(prefix="rws-bench-") as folder:
        setup, _ = prepare(_one_cycle(config, folder))
        limit = config.cycles.limit
        whole = Amounts.of(setup, limit)
        images = min(images, whole.train)
        setup = limited(setup, images, max(1, round(whole.val * images / whole.train)))
        few, watch = Amounts.of(setup, min(1, limit)), Stopwatch(clock)
        setup = replace(setup, config=_as_often_looked_at(setup.config, images / whole.train))
        read = [(_owner(type(setup.train), name), name, READ) for name in ("image", "label")]
        with _keeping(slices), watch.running(*PARTS, *read):
            run = Run(setup, pictures(config))
            run.run()
            write.write_or_warn(setup.folder, config, (setup.train, setup.val))
        kept = run.state.cycles[0].kept_slices or 0
        return Measured(watch.seconds, few, whole, kept / few.train)


@contextmanager
def _keeping(slices: float | None) -> Iterator[None]:
    """Inside the block scoring keeps at most so many slices of an image on the average."""
    score = steps.score_images

    def scored(*args: object) -> ScoringResult:
        found = score(*args)
        return found if slices is None else replace(found, boxes=thinned(found.boxes, slices))

    steps.score_images = scored
    try:
        yield
    finally:
        steps.score_images = score


def thinned(boxes: dict[str, list[Box]], each: float) -> dict[str, list[Box]]:
    """At most so many boxes of an image on the average, and one at least, from as many images as can be."""
    places = sorted((place, image_id) for image_id, own in boxes.items() for place in range(len(own)))
    kept = Counter(image_id for _, image_id in places[: max(1, round(each * len(boxes)))])
    return {image_id: own[: kept[image_id]] for image_id, own in boxes.items()}


def _one_cycle(config: Config, folder: str) -> Config:
    """The configuration with one cycle, if it has any, and whatever it writes below the folder."""
    return replace(
        config,
        runs=folder,
        name="cycle",
        log=(),
        data=replace(config.data, workers=0, check=False),
        cycles=replace(config.cycles, limit=min(1, config.cycles.limit), delta=0),
    )


def _as_often_looked_at(config: Config, share: float) -> Config:
    """With missing weights of as large a share of the images as in the whole run."""
    missing = config.slices.missing_images
    if missing is None:
        return config
    return replace(config, slices=replace(config.slices, missing_images=max(RUN, round(share * missing))))


def _owner(kind: type[Split], name: str) -> type:
    """The class in which a method is written."""
    return next(each for each in kind.__mro__ if name in vars(each))
