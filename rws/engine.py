"""One training that can stop and go on, and evaluation."""

import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from tqdm import tqdm

from rws import checkpoint
from rws.config import TrainConfig
from rws.data.classes import ClassSet
from rws.data.loading import EvalBatch, SeededBatches, TrainBatch, TrainViews, train_loader
from rws.data.mixing import MixedBatches
from rws.distributed import is_first, parallel, rank, summed, world
from rws.errors import UserError
from rws.metrics import as_scores, confusion_matrix
from rws.placement import device_of, to_network
from rws.seeding import derive_seed

# What torchvision and segmentation_models_pytorch call what comes after the backbone.
HEADS = ("classifier", "decoder", "segmentation_head")


@dataclass(frozen=True)
class Job:
    """What one training works on.

    key: names the training; with the run's seed it fixes all random numbers.
    steps: optimizer steps in all; batch_size images each.
    steps_per_epoch: how often the history gets a record.
    evaluate: gives scores of the network, for the history; None trains without.
    fusion: gives the context in which the forward pass of a batch, at a step, is fused, as a value of which
        a list of losses to add, or None; without it the training is plain.
    steps_before: steps that count towards the epochs but were taken elsewhere.
    slices: the last so many of the views are slices, and `slice_mix` of each batch is taken from them.
    """

    key: str
    views: TrainViews
    steps: int
    steps_per_epoch: int
    batch_size: int
    seed: int
    workers: int
    evaluate: Callable[[nn.Module], dict] | None = None
    fusion: Callable[[TrainBatch, int], AbstractContextManager] | None = None
    steps_before: int = 0
    slices: int = 0
    slice_mix: float = 0.0

    def batches(self, first: int) -> SeededBatches | MixedBatches:
        """The batches from step `first` on."""
        views = len(self.views) - self.slices
        whole = SeededBatches(views, self.batch_size, self.steps, self.seed, first)
        return MixedBatches(whole, self.slices, self.slice_mix) if self.slices else whole


def segmentation_loss(
    output: dict[str, Tensor], labels: Tensor, ignore_index: int, aux_loss: float
) -> Tensor:
    """Cross-entropy over the labelled pixels, plus `aux_loss` times the auxiliary head's.

    Of several processes each has a part of the batch: the sum of their losses is that of the whole batch.

    Shape: logits (N, C, H, W), labels (N, H, W) -> scalar; 0 when no pixel is labelled.
    """
    count = summed((labels != ignore_index).sum()).clamp_min(1)

    def cross_entropy(logits: Tensor) -> Tensor:
        return F.cross_entropy(logits.float(), labels, ignore_index=ignore_index, reduction="sum") / count

    loss = cross_entropy(output["out"])
    return loss + aux_loss * cross_entropy(output["aux"]) if "aux" in output else loss


def loss_of(
    network: nn.Module, output: dict[str, Tensor], labels: Tensor, ignore_index: int, aux_loss: float
) -> Tensor:
    """`segmentation_loss`, plus what the network itself adds to it.

    A network may bring a loss of its own: a method `own_loss(output, labels, ignore_index)` that returns a
    scalar tensor. `output` is what its forward pass returned, in which it may keep entries of its own beside
    "out" and "aux". Of several processes each calls it with its part of the batch; the losses are summed.
    """
    loss = segmentation_loss(output, labels, ignore_index, aux_loss)
    own = getattr(network, "own_loss", None)
    return loss if own is None else loss + own(output, labels, ignore_index)


def make_optimizer(network: nn.Module, config: TrainConfig) -> torch.optim.Optimizer:
    """SGD or AdamW with the heads' own learning rates; `lr_factor` of a group scales the schedule."""
    heads = dict.fromkeys(HEADS, config.head_lr_factor)
    factors = {"aux_classifier": config.aux_lr_factor, **heads}
    groups: dict[float, list[nn.Parameter]] = {}
    for name, parameter in network.named_parameters():
        groups.setdefault(factors.get(name.split(".")[0], 1.0), []).append(parameter)
    params = [{"params": p, "lr_factor": factor, "lr": config.lr * factor} for factor, p in groups.items()]
    if config.optimizer == "adamw":
        return torch.optim.AdamW(params, lr=config.lr, weight_decay=config.weight_decay, fused=True)
    sgd = {"momentum": config.momentum, "weight_decay": config.weight_decay}
    return torch.optim.SGD(params, lr=config.lr, **sgd, fused=True)


def learning_rate(step: int, job: Job, config: TrainConfig) -> float:
    """Polynomial decay to 0 after a linear warm-up from a tenth.

    The warm-up takes at most a tenth of the steps: in the paper's runs, one epoch of warm-up in a training of
    one epoch would never reach the learning rate.
    """
    warmup = min(round(config.warmup_epochs * job.steps_per_epoch), max(1, job.steps // 10))
    if step < warmup:
        return config.lr * (0.1 + 0.9 * step / warmup)
    return config.lr * (1 - (step - warmup) / max(1, job.steps - warmup)) ** config.lr_poly_power


class Training:
    """Runs a job; writes its state to `path` as it goes, and goes on from there if it finds the same job."""

    def __init__(self, network: nn.Module, job: Job, config: TrainConfig, path: Path, ignore_index: int):
        self.network, self.job, self.config, self.path = network, job, config, path
        self.ignore_index = ignore_index
        self.device = device_of(network)
        self.optimizer = make_optimizer(network, config)
        self.history: list[dict] = []
        # Both since the last record.
        self.loss_sum, self.seconds_steps = 0.0, 0.0
        self.step = 0
        # Of the whole training before this process went on with it.
        self.seconds_before, self._begun = 0.0, time.perf_counter()
        self._restore()
        # Waits for the other processes, so that none restores what the first stores later.
        self.parallel = parallel(network, self.device)

    def _restore(self) -> None:
        if not self.path.is_file():
            return
        state = checkpoint.load(self.path)
        if state["key"] != self.job.key:
            return
        self.network.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        self.history, self.step = state["history"], state["step"]
        self.loss_sum, self.seconds_steps = state["loss_sum"], state.get("seconds_steps", 0.0)
        self.seconds_before = state.get("seconds", 0.0)

    def _store(self) -> None:
        state = {
            "key": self.job.key,
            "model": self.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "history": self.history,
            "step": self.step,
            "loss_sum": self.loss_sum,
            "seconds_steps": self.seconds_steps,
            "seconds": self.seconds_before + time.perf_counter() - self._begun,
        }
        checkpoint.save(self.path, state)

    def run(self, on_epoch: Callable[[dict], None] = lambda record: None) -> list[dict]:
        """Train to the end; one record an epoch: step, loss, lr, and scores where evaluated.

        `seconds_steps` of a record is the wall clock of its optimizer steps, waiting for the loader included,
        `seconds_eval` that of evaluating; a resumed training keeps those of before.
        """
        job = self.job
        loader = train_loader(job.views, job.batches(first=self.step), job.workers)
        quiet = not is_first()
        with tqdm(
            total=job.steps, initial=self.step, desc=job.key, unit="step", leave=False, disable=quiet
        ) as bar:
            start = time.perf_counter()
            for batch in loader:
                self._one_step(batch)
                self.seconds_steps += time.perf_counter() - start
                bar.update()
                bar.set_postfix(loss=f"{self.loss_sum / (self._in_epoch() or 1):.3f}", refresh=False)
                self._after_step(on_epoch)
                start = time.perf_counter()
        if is_first():
            self.path.unlink(missing_ok=True)
        return self.history

    def _in_epoch(self) -> int:
        """Steps since the last record."""
        return self.step - (self.history[-1]["step"] if self.history else 0)

    def _one_step(self, batch: TrainBatch) -> None:
        job, config = self.job, self.config
        # Dropout draws from the global generator; seeding each step makes it independent of where we resumed.
        torch.manual_seed(derive_seed(job.seed, job.key, self.step, *([rank()] if rank() else [])))
        self.network.train()
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(self.step, job, config) * group["lr_factor"]
        images = to_network(batch.images, self.network)
        labels = batch.labels.to(self.device, non_blocking=True)
        fusion = job.fusion(batch, self.step) if job.fusion else nullcontext()
        bf16 = torch.autocast(self.device.type, torch.bfloat16, enabled=config.precision == "bf16")
        with fusion as more, bf16:
            output = self.parallel(images)
        loss = loss_of(self.network, output, labels, self.ignore_index, config.aux_loss)
        for term in more or ():
            loss = loss + term / world()
        self.optimizer.zero_grad(set_to_none=True)
        (loss * world()).backward()  # the processes' gradients are averaged, their losses add up
        self.optimizer.step()
        # The step's only wait for the device comes last, so that nothing is launched late. A loss that is not
        # finite ends the training before these weights are stored.
        value = summed(loss.detach()).item()
        if not math.isfinite(value):
            raise UserError(
                f"{job.key}: loss {value} at step {self.step}, images {', '.join(batch.ids)}; "
                "look at these images, or lower --train.lr"
            )
        self.loss_sum += value
        self.step += 1

    def _after_step(self, on_epoch: Callable[[dict], None]) -> None:
        job, every = self.job, self.config.checkpoint_steps
        done = self.step == job.steps
        if (self.step + job.steps_before) % job.steps_per_epoch == 0 or done:
            self._end_epoch(on_epoch, done)
            if not done:  # the caller keeps the network of a finished training
                self._store()
        elif every and self.step % every == 0:
            self._store()

    def _end_epoch(self, on_epoch: Callable[[dict], None], done: bool) -> None:
        record = {
            "epoch": -(-(self.step + self.job.steps_before) // self.job.steps_per_epoch),
            "loss": self.loss_sum / self._in_epoch(),
            "lr": self.optimizer.param_groups[0]["lr"],
        }
        due = done or record["epoch"] % self.config.eval_every == 0
        start = time.perf_counter()
        if self.job.evaluate and due:
            record |= self.job.evaluate(self.network)
        seconds = {"seconds_steps": self.seconds_steps, "seconds_eval": time.perf_counter() - start}
        record |= {"step": self.step, **{name: round(value, 3) for name, value in seconds.items()}}
        self.history.append(record)
        self.loss_sum = self.seconds_steps = 0.0
        on_epoch(record)


@torch.inference_mode()
def evaluate(network: nn.Module, batches: Iterable[EvalBatch], classes: ClassSet) -> dict:
    """mIoU in percent, and for each class, at the labels' own sizes; every image counts once."""
    device = device_of(network)
    confusion = confusion_matrix(classes.num_classes, classes.ignore_index).to(device)
    network.eval()
    for batch in tqdm(batches, desc="evaluate", unit="batch", leave=False, disable=not is_first()):
        labels = batch.labels.to(device)
        logits = network(to_network(batch.images, network))["out"]
        logits = F.interpolate(logits.float(), labels.shape[-2:], mode="bilinear", align_corners=False)
        confusion.update(logits.argmax(1), labels)
    return as_scores(confusion.compute().cpu(), classes.names)
