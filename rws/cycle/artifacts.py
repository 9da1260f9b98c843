"""What lies where in the folder of a run: the one place that knows the names of its files."""

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from torch import Tensor, nn

from rws.data.boxes import Box
from rws.errors import DamagedFile, UserError
from rws.method.bank import Bank
from rws.runs import begun, checkpoint, loggers
from rws.runs.model_file import Card, save_trained
from rws.runs.record import RunState, shown

# What each step of a cycle leaves in the cycle's folder, where the configuration has it, in the steps' order.
LEFT = {
    "whole": "whole.pt",
    "plain": "plain.pt",
    "score": "slices.json",
    "slices": "slices.pt",
    "select": "bank",
    "teach": "targets.pt",
}
TENSORS = tuple(step for step, name in LEFT.items() if name.endswith(".pt"))


class Artifacts:
    """The folder of one run; `k` is the number of a cycle, from 0."""

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        self.best, self.last = self.folder / "best.pt", self.folder / "last.pt"
        self.training = self.folder / "training.pt"
        self.log, self.summary = self.folder / "log.jsonl", self.folder / "summary.json"
        self.state = self.folder / "state.json"
        self.begun = self.folder / begun.NAME
        self.class_weights = self.folder / "class_weights.json"
        self._cycles = self.folder / "cycles"

    def left(self, step: str, k: int) -> Path:
        """What a step leaves for later ones: a network, the boxes of slices, or a bank."""
        return self._cycles / str(k) / LEFT[step]

    def after(self, step: str, k: int) -> Path:
        """The state that the run was in after a step; another run can start from there."""
        return self._cycles / str(k) / f"after_{step}.json"

    def lent(self, k: int) -> Path:
        """The bank of a selection that random positions are counted from; made by this run, or lent to it."""
        return self._cycles / str(k) / "advantaged"

    def pictures(self, k: int) -> Path:
        """The folder of the pictures that are made after scoring."""
        return self.folder / "cam" / str(k)

    def cycles(self) -> list[int]:
        """The numbers of the cycles that have a folder, in order."""
        return sorted(int(p.name) for p in self._cycles.glob("*") if p.name.isdigit())

    # Reading.

    def network(self, k: int, step: str = "whole") -> dict[str, Tensor]:
        """The weights that a training left.

        Raises: UserError, DamagedFile.
        """
        return checkpoint.network_in(self.left(step, k))

    def bank(self, k: int) -> Bank:
        """The features that cycle k selected."""
        return Bank(self.left("select", k))

    def targets(self, k: int) -> dict[str, Tensor]:
        """What the network of cycle k sees in each photograph without label, as `encoded`.

        Raises: UserError, DamagedFile.
        """
        return checkpoint.load(self.left("teach", k))["targets"]

    def boxes(self, k: int) -> dict[str, list[Box]]:
        """The weak slices that cycle k kept, by image.

        Raises: DamagedFile.
        """
        stored = checkpoint.read_json(self.left("score", k), dict[str, list[Box]])
        return {image_id: [tuple(box) for box in each] for image_id, each in stored.items()}

    def read_state(self, path: Path | None = None) -> RunState:
        """Where the run stands, or stood by an older state; a new state before the first step has ended.

        Raises: DamagedFile.
        """
        path = path or self.state
        if not path.is_file():
            return RunState()
        try:
            return RunState.from_dict(checkpoint.read_json(path))
        except ValueError as error:
            raise checkpoint.damaged(path, f"not the state of a run: {error}") from error

    def is_untouched(self) -> bool:
        """Whether nothing has been trained yet."""
        begun = {"config.yaml", "env.json", self.begun.name, self.class_weights.name, *loggers.FILES}
        return all(path.name in begun or path.name[0] == "." for path in self.folder.iterdir())

    def place(self) -> str:
        """Where the run stands, in words."""
        try:
            state = self.read_state()
        except DamagedFile:
            return "where it was"
        return "its end" if state.stopped else shown(state.step, state.cycle)

    # Writing.

    def save(self, step: str, k: int, network: nn.Module, card: Card, record: dict) -> None:
        """Keep what a training left, with the record of its last epoch."""
        self._save(self.left(step, k), k, network, card, record)
        if step == "whole":
            self._save(self.last, k, network, card, record)

    def save_best(self, k: int, network: nn.Module, card: Card, record: dict) -> None:
        """Keep a network as the best of the run, with the record of its epoch."""
        self._save(self.best, k, network, card, record)

    def _save(self, path: Path, k: int, network: nn.Module, card: Card, record: dict) -> None:
        facts = {"cycle": k, "epoch": record["epoch"], "miou": record.get("miou", -1.0)}
        save_trained(path, network, card, **facts)

    def copy_whole(self, step: str, k: int) -> None:
        """Let the network trained on whole images stand for that of another step."""
        shutil.copyfile(self.left("whole", k), self.left(step, k))

    def write_boxes(self, k: int, boxes: dict[str, list[Box]]) -> None:
        """Keep the weak slices of each image."""
        checkpoint.write_json(self.left("score", k), boxes)

    def write_targets(self, k: int, targets: dict[str, Tensor]) -> None:
        """Keep the targets of each photograph without label."""
        checkpoint.save(self.left("teach", k), {"targets": targets})

    def write_state(self, step: str, k: int, state: RunState) -> None:
        """Keep the state that a step led to, as that of the run and as that after the step.

        Raises: UserError for one that could not be read again.
        """
        try:
            RunState.from_dict(json.loads(json.dumps(state.to_dict())))
        except ValueError as error:
            raise UserError(
                f"{shown(step, k)}: its record cannot be kept ({error}); look at the data"
            ) from error
        checkpoint.write_json(self.after(step, k), state.to_dict())
        checkpoint.write_json(self.state, state.to_dict())

    # Removing, and taking over.

    def clean(self, k: int) -> None:
        """Remove what no step from cycle k on reads, of the cycles before the last one."""
        for old in range(k - 1):
            for step in TENSORS:
                self.left(step, old).unlink(missing_ok=True)
            self.remove_bank(old)

    def remove_bank(self, k: int) -> None:
        """Remove the bank of a cycle, if it is there."""
        shutil.rmtree(self.left("select", k), ignore_errors=True)

    def forget_training(self) -> None:
        """Remove the state of a training, which is needed no more."""
        checkpoint.remove(self.training)

    def take_over(self, other: "Artifacts", steps: Sequence[str]) -> None:
        """Lay down what another run has left in cycle 0, as if this one had taken these steps.

        Files are linked where the file system can: runs replace files and never write into them. The network
        of cycle 0 is the best one until there is one of cycle 1.
        """
        for step in steps:
            _link(other.left(step, 0), self.left(step, 0))
            _link(other.after(step, 0), self.after(step, 0))
        for own in (self.last, self.best):
            _link(other.left("whole", 0), own)
        if other.begun.is_file():
            _link(other.begun, self.begun)
        _link(other.after(steps[-1], 0), self.state)

    def borrow_selection(self, other: "Artifacts") -> None:
        """Take the selection of another run's cycle 0, to count random positions from it."""
        _link(other.left("select", 0), self.lent(0))


def _link(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    copy = shutil.copytree if source.is_dir() else shutil.copy2
    try:
        if source.is_dir():
            shutil.copytree(source, target, copy_function=os.link)
        else:
            os.link(source, target)
    except OSError:
        shutil.rmtree(target, ignore_errors=True)
        copy(source, target)
