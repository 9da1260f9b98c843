"""What the steps of a run are given, and the moments of a run at which hooks join in."""

from dataclasses import dataclass, replace

from torch import nn

from rws.config import Config
from rws.cycle.artifacts import Artifacts
from rws.cycle.guidance import Guidance, guidance
from rws.cycle.setup import Setup
from rws.data.boxes import Box
from rws.data.sliced_images import SlicedImages
from rws.errors import UserError
from rws.method.cams import CamNetwork
from rws.runs.loggers import Logger
from rws.runs.network import make_network
from rws.runs.record import CycleRecord


@dataclass(frozen=True, eq=False)
class Epoch:
    """An epoch that a training has just ended.

    step and cycle: of the training. images: what the networks before and this one took forward and backward.
    record: the epoch's entry in the history.
    """

    step: str
    cycle: int
    network: nn.Module
    images: int
    record: dict


class Hook:
    """What is done beside a run at its moments; nothing where a hook does not say otherwise.

    Hooks are called in the first process alone, in their order.
    """

    def after_epoch(self, run: "RunContext", epoch: Epoch) -> None:
        """An epoch of a training has ended; its network is as the epoch left it."""

    def after_scoring(self, run: "RunContext", k: int, scored: CamNetwork) -> None:
        """The training images of cycle k have been looked at, with this network."""

    def after_step(self, run: "RunContext", step: str, k: int) -> None:
        """A step has ended and its record is kept."""

    def at_end(self, run: "RunContext", summary: dict | None) -> None:
        """The run has ended, with its summary where it was asked for."""


@dataclass(frozen=True, eq=False)
class RunContext:
    """What a step works with; `records` are those of the cycles so far, that of its own cycle included."""

    setup: Setup
    artifacts: Artifacts
    records: tuple[CycleRecord, ...] = ()
    hooks: tuple[Hook, ...] = ()
    loggers: tuple[Logger, ...] = ()

    @property
    def config(self) -> Config:
        return self.setup.config

    def network(self, k: int, step: str = "whole") -> nn.Module:
        """The network that a training of cycle k left.

        Raises: UserError, DamagedFile.
        """
        network = self._made(replace(self.config, model=replace(self.config.model, weights="none")))
        weights = self.artifacts.network(k, step)
        try:
            network.load_state_dict(weights)
        except RuntimeError as error:
            raise UserError(
                f"{self.artifacts.left(step, k)}: does not fit the network {self.config.model.name} "
                f"({' '.join(str(error).split())[:120]}); put its code back, or start a new --name"
            ) from error
        return network

    def start(self, k: int) -> nn.Module:
        """The network that a training begins with: of cycle k or the initial one, as `cycles.start` says.

        Before cycle 0 there is the initial one alone.

        Raises: UserError, DamagedFile.
        """
        initial = k < 0 or self.config.cycles.start == "initial"
        return self._made(self.config) if initial else self.network(k)

    def _made(self, config: Config) -> nn.Module:
        return make_network(config, self.setup.card.classes.num_classes, self.setup.device)[0]

    def scored(self, network: nn.Module) -> CamNetwork:
        """A network in eval mode, with what is needed to look into it."""
        return CamNetwork(network.eval(), self.setup.card.stages, self.setup.card.classes)

    def sliced_images(self, boxes: dict[str, list[Box]]) -> SlicedImages:
        """The training images with their slices."""
        return SlicedImages(self.setup.train, boxes, self.setup.card.transform())

    def guidance(self) -> Guidance:
        """What the missing weights of the cycles so far suggest."""
        return guidance(self.records, "fusion" if self.config.fusion.enabled else "retraining")
