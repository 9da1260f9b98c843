"""The cycle as a resumable state machine: whole -> plain -> score -> slices -> select -> whole -> ...

Every step reads what earlier steps left in the run's folder, writes its own result there, and only then is
the state written; a step that was cut off is simply run again, and draws the same random numbers.
"""

import shutil
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from rws import checkpoint
from rws.bank import Bank
from rws.core.fusion import identity_coordinates
from rws.data.loading import Box, SlicedImages, TrainViews, View, sliced_loader, steps_per_epoch
from rws.data.transforms import train_transform
from rws.distributed import barrier, is_first
from rws.engine import Job, Training, evaluate
from rws.errors import UserError
from rws.fuse import BankFusion
from rws.online import OnlineFusion, SliceReader
from rws.random_positions import draw_boxes, select_random
from rws.recipe import Recipe
from rws.report import Reporter, SilentReporter, closing_line, summarise
from rws.scoring import Scored, score_images, select_features
from rws.seeding import derive_seed
from rws.setup import Setup, make_network
from rws.trained import save_trained

STEPS = ("whole", "plain", "score", "slices", "select")
# What the seconds of a cycle hold beside those of its steps: sums over its trainings.
INSIDE = ("steps", "evaluation")


def following(step: str, cycle: int) -> tuple[str, int]:
    """The step after a step; the cycle counts up before each training on whole images."""
    place = STEPS.index(step) + 1
    return (STEPS[place], cycle) if place < len(STEPS) else (STEPS[0], cycle + 1)


def stop_reason(weak: list[int], limit: int, delta: int) -> str | None:
    """Why the loop ends after the latest scoring, or None.

    Args:
        weak: number of weak slices after each training on whole images so far.
        limit: cycles at most.
        delta: smallest change of the number that lets the loop go on.
    Source: METHOD step 6.
    """
    if weak[-1] == 0:
        return "no weak slices"
    if len(weak) > limit:
        return f"cycle limit {limit}"
    if len(weak) > 1 and abs(weak[-1] - weak[-2]) < delta:
        return f"weak slices changed by {abs(weak[-1] - weak[-2])}, fewer than {delta}"
    return None


class Run:
    """One run of RWS in its folder, `setup.folder`."""

    def __init__(self, setup: Setup):
        self.setup, self.config, self.folder = setup, setup.config, setup.folder
        self.report = Reporter(self.folder) if is_first() else SilentReporter()
        self.spent: dict[str, float] = {}
        self.state = {"step": "whole", "cycle": 0, "cycles": [], "stopped": None}
        if (self.folder / "state.json").is_file():
            self.state = checkpoint.read_json(self.folder / "state.json")

    @property
    def cycles(self) -> list[dict]:
        return self.state["cycles"]

    def train(self) -> None:
        """Run the steps that are left up to the last training, without looking into what it left."""
        last = self.config.cycles.limit
        while self.state["stopped"] is None and (self.state["step"], self.state["cycle"]) != ("score", last):
            self._step(self.state["step"], self.state["cycle"])
        self.report.close()

    def run(self) -> dict:
        """Run the steps that are left; returns the summary."""
        while self.state["stopped"] is None:
            self._step(self.state["step"], self.state["cycle"])
        summary = summarise(self.config.name, self.config.seed, self.state["stopped"], self.cycles)
        checkpoint.write_json(self.folder / "summary.json", summary)
        if self.config.cam_vis:
            self.report.missing(self.cycles)
        self.report.say(f"stopped: {summary['stopped']}\n{closing_line(summary)}")
        self.report.close()
        return summary

    def _step(self, step: str, k: int) -> None:
        """Run one step, add its record to its cycle, and write the state."""
        if is_first():
            self._clean(k)
        start = time.monotonic()
        self.spent = dict.fromkeys(("before", *INSIDE), 0.0)
        record = getattr(self, f"_{step}")(k)
        # A new list, so that a step that raises leaves the state as it was.
        empty = {"cycle": k, "seconds": dict.fromkeys(INSIDE, 0.0)}
        cycles = [*self.cycles, empty] if len(self.cycles) == k else self.cycles
        cycles[k] |= record
        seconds = cycles[k]["seconds"]
        seconds[step] = round(time.monotonic() - start + self.spent["before"], 2)
        for name in INSIDE:
            seconds[name] = round(seconds.get(name, 0.0) + self.spent[name], 2)
        next_step, next_cycle = following(step, k)
        stopped = None
        if step == "score":
            stopped = self._stop_reason(cycles)
        self.state = {"step": next_step, "cycle": next_cycle, "cycles": cycles, "stopped": stopped}
        # One for each step, so that another run can start from what this one did up to there.
        checkpoint.write_json(self._cycle(k) / f"after_{step}.json", self.state)
        checkpoint.write_json(self.folder / "state.json", self.state)
        barrier()  # what the next step reads is written
        if step == "score":
            self.report.row(cycles[k], head=k == 0)

    def _stop_reason(self, cycles: list[dict]) -> str | None:
        """As `stop_reason`; without slices the limit alone counts."""
        limit, delta = self.config.cycles.limit, self.config.cycles.delta
        if not self._uses_slices():
            return f"cycle limit {limit}" if len(cycles) > limit else None
        return stop_reason([c["weak_slices"] for c in cycles], limit, delta)

    def _uses_slices(self) -> bool:
        return self.config.fusion.enabled or self.config.train.slice_mix > 0

    def _clean(self, k: int) -> None:
        """Remove what no later step reads: networks and banks of the cycles before the last one."""
        for old in range(k - 1):
            for name in ("whole.pt", "plain.pt", "slices.pt"):
                (self._cycle(old) / name).unlink(missing_ok=True)
            shutil.rmtree(self._cycle(old) / "bank", ignore_errors=True)

    def _cycle(self, k: int) -> Path:
        return self.folder / "cycles" / str(k)

    # The steps. Each returns what it adds to the record of its cycle.

    def _whole(self, k: int) -> dict:
        """Train on whole images, fused with the bank of the cycle before."""
        kind = "slices" if self.config.cycles.start == "slices" else "whole"
        network = self._network(None if self.config.cycles.start == "initial" else k - 1, kind)
        bank, steps = self._bank(k - 1), self._whole_steps(k)
        slices = self._slice_views(k - 1) if k and self.config.train.slice_mix else []
        views = self._views([*(View(i) for i in self.setup.train.ids), *slices], self._attach(bank, k))
        history = self._train(
            f"whole-{k}",
            network,
            views,
            steps,
            on_epoch=self._keep_best(network, k),
            fusion=self._recipe(bank, network, k, steps) if bank else None,
            steps_before=self.config.train.epochs * self._epoch_steps() - steps if k else 0,
            slices=len(slices),
            slice_mix=self.config.train.slice_mix,
        )
        self._save(self._cycle(k) / "whole.pt", network, k, history)
        self._save(self.folder / "last.pt", network, k, history)
        images = len(self.setup.train.ids)
        record = {"images": images, "whole": history, "whole_images": steps * self._batch()}
        return record | ({"fused_share": bank.fused_share(images)} if bank else {})

    def _whole_steps(self, k: int) -> int:
        """Steps of a training on whole images.

        Raises: UserError when the slices have used up a cycle's images.
        """
        train = self.config.train
        epochs = (train.first_epochs or train.epochs) if k == 0 else train.epochs
        taken = (
            self.cycles[k - 1].get("slice_images", 0) if k and self.config.cycles.budget == "within" else 0
        )
        steps = epochs * self._epoch_steps() - taken // self._batch()
        if steps < 1:
            raise UserError(
                f"cycles.budget within: the slices took {taken} images, all that {epochs} epochs hold; "
                "lower train.slice_epochs"
            )
        return steps

    def _recipe(self, bank: Bank, network: nn.Module, k: int, steps: int) -> Recipe:
        config, crop = self.config.fusion, self.config.data.crop_size
        if self.config.bank.online:
            fusion = OnlineFusion(bank, network, crop, config.stages, sliced=self._network(k - 1, "slices"))
        else:
            fusion = BankFusion(bank, network, crop, config.stages)
        return Recipe(fusion, config, steps, derive_seed(self.config.seed, f"whole-{k}"))

    def _attach(self, bank: Bank | None, k: int) -> Callable[[str], object] | None:
        """What reads the rows that travel with an image."""
        if bank is None or not self.config.bank.online:
            return bank and bank.read
        return SliceReader(bank, self._sliced_images(self._boxes(k - 1)))

    def _plain(self, k: int) -> dict:
        """Train the plain network further by as many images as RWS saw in this cycle, slices included."""
        if not self.config.cycles.plain:
            return {}
        done = self.cycles[k]
        if k == 0:
            if is_first():
                shutil.copyfile(self._cycle(0) / "whole.pt", self._cycle(0) / "plain.pt")
            return {"plain": done["whole"], "plain_images": done["whole_images"]}
        network = self._network(k - 1, "plain")
        images = done["whole_images"] + self.cycles[k - 1].get("slice_images", 0)
        views = self._views([View(i) for i in self.setup.train.ids])
        history = self._train(f"plain-{k}", network, views, images // self._batch())
        self._save(self._cycle(k) / "plain.pt", network, k, history)
        return {"plain": history, "plain_images": images}

    def _score(self, k: int) -> dict:
        """Map the training images and find the weak slices, where anything uses them."""
        if not self._uses_slices():
            return {}
        scored = self._scored(self._network(k))
        batches = self.setup.train_batches
        scores = score_images(scored, batches, self.setup.train.ids, self.config.slices)
        checkpoint.write_json(self._cycle(k) / "slices.json", scores.boxes)
        if self.config.cam_vis and is_first():
            from rws.cam_vis import write_pictures  # matplotlib is loaded only for those who look

            folder = self.folder / "cam" / str(k)
            write_pictures(scored, self.setup.train, self.setup.card, folder, self.config.cam_vis_images)
        kept = sum(len(boxes) for boxes in scores.boxes.values())
        counts = {"weak_slices": scores.weak, "windows": scores.windows, "kept_slices": kept}
        return counts | {"missing_weight": scores.missing}

    def _slices(self, k: int) -> dict:
        """Train a copy on the weak slices, where their features are used."""
        if not self.config.fusion.enabled:
            return {}
        network = self._network(None if self.config.cycles.start == "initial" else k)
        views = self._views(self._slice_views(k))
        epoch = steps_per_epoch(len(views), self._batch())
        steps = max(1, round(self.config.train.slice_epochs * epoch))
        history = self._train(f"slices-{k}", network, views, steps, scored=False)
        self._save(self._cycle(k) / "slices.pt", network, k, history)
        return {"slice_images": steps * self._batch(), "slice_loss": history[-1]["loss"]}

    def _select(self, k: int) -> dict:
        """Let the slices compete, and write the winners' features into the bank."""
        if not self.config.fusion.enabled:
            return {}
        sliced = self._scored(self._network(k, "slices"))
        random = self.config.fusion.positions == "random"
        bank = self._cycle(k) / ("advantaged" if random else "bank")
        images = self._sliced_images(self._boxes(k))
        select_features(
            self._scored(self._network(k)),
            sliced,
            sliced_loader(images, self.setup.workers),
            bank,
            self.config.train.eval_batch_size,
            "winner" if self.config.bank.online else self.config.bank.precision,
            correct_only=self.config.fusion.correct_only,
        )
        if random:
            self._randomise(k, sliced, bank)
        return {}

    def _randomise(self, k: int, sliced: Scored, advantaged: Path) -> None:
        """Replace the bank by one of random positions."""
        seed = derive_seed(self.config.seed, f"random-{k}")
        found, split = Bank(advantaged), self.setup.train
        boxes = draw_boxes(found, self._boxes(k), split, self.config.slices, seed)
        loader = sliced_loader(self._sliced_images(boxes), self.setup.workers)
        select_random(sliced, found, loader, self._cycle(k) / "bank", self.config.train.eval_batch_size, seed)
        if is_first():
            shutil.rmtree(advantaged)

    def _sliced_images(self, boxes: dict[str, list[Box]]) -> SlicedImages:
        return SlicedImages(self.setup.train, boxes, self.setup.card.transform())

    # What the steps share.

    def _network(self, k: int | None, kind: str = "whole") -> nn.Module:
        """The initial network, or the one that a step of cycle k left."""
        model, classes = self.config.model, self.setup.card.classes.num_classes
        if k is not None and k >= 0:
            model = replace(model, weights="none")
        network, _ = make_network(replace(self.config, model=model), classes, self.setup.device)
        if k is not None and k >= 0:
            network.load_state_dict(checkpoint.load(self._cycle(k) / f"{kind}.pt")["model"])
        return network

    def _bank(self, k: int) -> Bank | None:
        return Bank(self._cycle(k) / "bank") if k >= 0 and self.config.fusion.enabled else None

    def _boxes(self, k: int) -> dict[str, list[Box]]:
        return checkpoint.read_json(self._cycle(k) / "slices.json")

    def _slice_views(self, k: int) -> list[View]:
        return [View(i, box) for i, each in self._boxes(k).items() for box in each]

    def _scored(self, network: nn.Module) -> Scored:
        return Scored(network.eval(), self.setup.card.stages, self.setup.card.classes)

    def _batch(self) -> int:
        return self.config.train.batch_size

    def _epoch_steps(self) -> int:
        return steps_per_epoch(len(self.setup.train.ids), self._batch())

    def _views(self, views: list[View], attach: Callable[[str], object] | None = None) -> TrainViews:
        card = self.setup.card
        transform = train_transform(self.setup.geometry, card.normalisation, card.classes.ignore_index)
        fused = {"coordinates": identity_coordinates, "attach": attach} if attach else {}
        return TrainViews(self.setup.train, views, transform, **fused)

    def _train(
        self,
        key: str,
        network: nn.Module,
        views: TrainViews,
        steps: int,
        *,
        scored: bool = True,
        on_epoch: Callable[[dict], None] = lambda record: None,
        **special: object,
    ) -> list[dict]:
        """Run one training of the run, with what is special about its job; its records go into the log."""
        arm = "plain" if key.startswith("plain") else "rws"
        epoch = steps_per_epoch(len(views) - special.get("slices", 0), self._batch())
        job = Job(
            key=key,
            views=views,
            steps=steps,
            steps_per_epoch=epoch,
            batch_size=self._batch(),
            seed=derive_seed(self.config.seed, key),
            workers=self.setup.workers,
            evaluate=self._evaluate if scored else None,
            **special,
        )
        before = sum(c.get("whole_images", 0) + c.get("slice_images", 0) for c in self.cycles)

        def report(record: dict) -> None:
            self.report.epoch(key, arm, before + record["step"] * self._batch(), record)
            on_epoch(record)

        classes = self.setup.card.classes
        training = Training(
            network, job, self.config.train, self.folder / "training.pt", classes.ignore_index
        )
        history = training.run(report)
        self._spend(training.seconds_before, history)
        return history

    def _spend(self, before: float, history: list[dict]) -> None:
        """Count a training's seconds: those before it was resumed, of optimizer steps, of evaluation."""
        self.spent["before"] += before
        for name, key in zip(INSIDE, ("seconds_steps", "seconds_eval")):
            self.spent[name] += sum(record.get(key, 0.0) for record in history)

    def _evaluate(self, network: nn.Module) -> dict:
        return evaluate(network, self.setup.val_batches, self.setup.card.classes)

    def _keep_best(self, network: nn.Module, k: int) -> Callable[[dict], None]:
        """Writes best.pt when an epoch is better on val than all before; cycle 0 gives way to any other."""
        path = self.folder / "best.pt"
        kept = checkpoint.load(path) if path.is_file() else {"miou": -1.0, "cycle": k}
        best = -1.0 if kept["cycle"] == 0 < k else kept["miou"]

        def keep(record: dict) -> None:
            nonlocal best
            if record.get("miou", -1.0) > best:
                best = record["miou"]
                self._save(path, network, k, [record])

        return keep

    def _save(self, path: Path, network: nn.Module, k: int, history: list[dict]) -> None:
        facts = {"cycle": k, "epoch": history[-1]["epoch"], "miou": history[-1].get("miou", -1.0)}
        save_trained(path, network, self.setup.card, **facts)
