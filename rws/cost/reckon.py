"""From what the parts of a run cost to what the whole run costs."""

from collections.abc import Callable
from dataclasses import dataclass, replace

from rws.config import Config
from rws.cost.trial import Costs
from rws.cycle.setup import with_epochs
from rws.cycle.steps import uses_slices
from rws.data.batches import steps_per_epoch


@dataclass(frozen=True)
class Plan:
    """What a run takes at most, if no cycle is its last one before the limit.

    seconds: by step of the cycle, over all cycles. bank: bytes of the two banks that exist at once. files:
    bytes of networks and of a training's state. memory: bytes at the peak of a process.
    """

    seconds: dict[str, float]
    bank: float
    files: float
    memory: int

    @property
    def total(self) -> float:
        """Seconds of the whole run."""
        return sum(self.seconds.values())


@dataclass(frozen=True)
class _Steps:
    """Steps of the trainings of a run: the first on whole images, each later one, on slices, of the plain."""

    first: int
    later: int
    slices: int
    plain: int
    epoch: int

    @classmethod
    def of(cls, config: Config, costs: Costs) -> "_Steps":
        train, size = config.train, config.train.batch_size
        epoch, slices = steps_per_epoch(costs.train, size), 0
        if config.fusion.enabled and train.slice_epochs and costs.kept:
            slices = max(
                1, round(train.slice_epochs * steps_per_epoch(round(costs.kept * costs.train), size))
            )
        within = slices if config.cycles.budget == "within" else 0
        later = max(1, train.epochs * epoch - within)
        plain = later + slices if config.cycles.plain else 0
        return cls((train.first_epochs or train.epochs) * epoch, later, slices, plain, epoch)


def reckon(config: Config, costs: Costs, processes: int = 1) -> Plan:
    """What a run of the configuration takes; of several processes each takes its share of everything."""
    config = with_epochs(config, costs.train)
    steps, limit = _Steps.of(config, costs), config.cycles.limit
    if uses_slices(config) and not costs.kept:
        limit = 0  # the run stops: no slice is weak
    trained = _training(config, costs, steps)
    fused = costs.fused_step if config.fusion.enabled else costs.step
    seconds = {
        "whole": trained(steps.first, costs.step) + limit * trained(steps.later, fused),
        "plain": limit * trained(steps.plain, costs.step),
        "score": (limit + 1) * _look(config, costs),
        "slices": limit * (steps.slices * costs.step + costs.start if steps.slices else 0.0),
        "select": limit * costs.train * costs.sliced * costs.select if config.fusion.enabled else 0.0,
    }
    if config.fusion.positions == "random":
        seconds["select"] *= 2  # an ordinary selection says how many
    networks = 1 + config.cycles.plain + config.fusion.enabled
    files = (min(2, limit + 1) * networks + 2) * costs.network + 2 * costs.training
    bank = min(2, limit) * costs.bank * costs.train * config.fusion.enabled
    return Plan({step: each / processes for step, each in seconds.items()}, bank, files, costs.memory)


def with_most_slices(config: Config, costs: Costs) -> Costs | None:
    """The costs if every image had as many slices as are kept of one; None where all are kept, or none."""
    most = config.slices.most_per_image
    if most is None or not costs.kept:
        return None
    each = 1 + costs.kept / costs.sliced  # maps of an image that has slices: its own, and theirs
    grown = (1 + most) / each
    bank = costs.bank * most / costs.kept
    return replace(costs, kept=float(most), sliced=1.0, select=costs.select * grown, bank=bank)


def _training(config: Config, costs: Costs, steps: _Steps) -> Callable[[int, float], float]:
    """Seconds of a training on whole images of so many steps at so many seconds, with its evaluation."""
    every = config.train.eval_every

    def seconds(count: int, step: float) -> float:
        if not count:
            return 0.0
        epochs = -(-count // steps.epoch)
        return count * step + -(-epochs // every) * costs.val * costs.evaluation + costs.start

    return seconds


def _look(config: Config, costs: Costs) -> float:
    """Seconds of a scoring: some of the images are mapped at all stages."""
    if not uses_slices(config):
        return 0.0
    all_stages = min(config.slices.missing_images or costs.train, costs.train)
    return all_stages * costs.look_all + (costs.train - all_stages) * costs.look
