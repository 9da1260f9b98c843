"""The parts of a cycle, and the seconds of each in a run on a few images."""

import tempfile
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import replace

from rws.config import Config
from rws.cost.stopwatch import REST, Stopwatch
from rws.cost.trial import limited
from rws.cycle import artifacts, steps, trainings
from rws.cycle.loop import Run
from rws.cycle.setup import prepare
from rws.data.eval_images import EvalImages
from rws.data.sliced_images import SlicedImages
from rws.data.split import Split
from rws.data.views import TrainViews
from rws.look.cam_vis import pictures
from rws.method.bank import Bank, BankWriter
from rws.method.cams import CamNetwork
from rws.report import write
from rws.runs import checkpoint
from rws.training.training import Training

TRAINING, FIND, SELECT, REPORT = "training", "finding", "selection", "report"
STEP, EVALUATION, READ, AUGMENT = "steps", "evaluation", "reading", "augmenting"
MAPS, BANK, CHECKPOINTS = "maps", "bank", "checkpoints"
# The functions of each part; what a part's functions call of other parts counts for those.
PARTS = (
    (steps, "train", TRAINING),
    (steps, "score_images", FIND),
    (steps, "select_features", SELECT),
    (write, "write_or_warn", REPORT),
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
ORDER = (STEP, EVALUATION, READ, AUGMENT, MAPS, FIND, SELECT, BANK, CHECKPOINTS, REPORT, TRAINING, REST)
MEANT = {
    EVALUATION: "without reading",
    AUGMENT: "cropping, resizing",
    MAPS: "heat maps, of images and slices",
    FIND: "windows, IoU, missing weights",
    SELECT: "the slices compete",
    BANK: "written and read",
    TRAINING: "networks built, loaders started",
    REST: "the data set opened, networks built",
}


def time_cycle(config: Config, images: int, clock: Callable[[], float]) -> Counter:
    """Seconds of a run of one cycle on some of the images, as a `Stopwatch` counts them.

    Raises: UserError for whatever would end the run as well.
    """
    with tempfile.TemporaryDirectory(prefix="rws-bench-") as folder:
        config = replace(
            config,
            runs=folder,
            name="cycle",
            log=(),
            data=replace(config.data, workers=0, check=False),
            cycles=replace(config.cycles, limit=1, delta=0),
        )
        setup, _ = prepare(config)
        val = max(1, round(len(setup.val) * images / len(setup.train)))
        setup, watch = limited(setup, images, val), Stopwatch(clock)
        read = [(_owner(type(setup.train), name), name, READ) for name in ("image", "label")]
        with watch.running(*PARTS, *read):
            Run(setup, pictures(config)).run()
            write.write_or_warn(setup.folder, config, (setup.train, setup.val))
        return watch.seconds


def _owner(kind: type[Split], name: str) -> type:
    """The class in which a method is written."""
    return next(each for each in kind.__mro__ if name in vars(each))


def outside(seconds: Mapping[tuple[str, str], float]) -> float:
    """The share of a run that is neither a training's step, what it waits for included, nor evaluation."""
    within = {STEP, EVALUATION, READ, AUGMENT, BANK}
    inside = sum(s for (outer, inner), s in seconds.items() if outer == TRAINING and inner in within)
    return 1 - inside / sum(seconds.values())


def lines(seconds: Mapping[tuple[str, str], float]) -> list[str]:
    """The table of the parts, and the share that is neither step nor evaluation."""
    total = sum(seconds.values())
    by_part = {part: sum(s for (_, inner), s in seconds.items() if inner == part) for part in ORDER}
    rows = [f"  {'part':12}{'seconds':>9}{'share':>8}"]
    for part, value in by_part.items():
        meant = f"  {MEANT[part]}" if part in MEANT else ""
        rows.append(f"  {part:12}{value:9.1f}{100 * value / total:6.1f} %{meant}")
    rows.append(f"  {'all':12}{total:9.1f}")
    return [*rows, f"outside steps and evaluation, and what these read: {100 * outside(seconds):.1f} %"]
