"""The optimizer steps of a training: forward and backward pass of a batch or its parts, and the update."""

from collections.abc import Sequence
from contextlib import nullcontext

import torch
from torch import Tensor, nn

from rws.config import TrainConfig
from rws.data.views import TrainBatch
from rws.runtime.device import device_of, to_network
from rws.runtime.distributed import parallel, rank, summed, world
from rws.runtime.seeding import derive_seed
from rws.training.average import WeightAverage
from rws.training.job import Job
from rws.training.losses import Criterion, taught_loss
from rws.training.optimization import learning_rate, loss_of, make_optimizer


class Stepper:
    """Takes the steps of a job, and holds what they change beside the network."""

    def __init__(self, network: nn.Module, job: Job, config: TrainConfig, ignore_index: int):
        self.network, self.job, self.config, self.ignore_index = network, job, config, ignore_index
        self.device = device_of(network)
        weights = job.class_weights and torch.tensor(job.class_weights, device=self.device)
        self.criterion = Criterion(config.losses, weights)
        self.optimizer = make_optimizer(network, config)
        self.scaler = torch.amp.GradScaler(self.device.type, enabled=config.precision == "fp16")
        self.average = WeightAverage(network, config.ema) if config.ema else None
        self.parallel = network

    def share(self) -> None:
        """Average the gradients with the other processes from now on, for which it waits."""
        self.parallel = parallel(self.network, self.device)

    def state(self) -> dict:
        """What is stored with the network, for a training that goes on."""
        average = self.average
        return {
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": None if average is None else average.model.state_dict(),
        }

    def restore(self, state: dict) -> None:
        """Go on from what `state` gave."""
        self.optimizer.load_state_dict(state["optimizer"])
        self.scaler.load_state_dict(state.get("scaler", {}))
        if self.average is not None:
            self.average.model.load_state_dict(state["average"])

    def take(self, batch: TrainBatch, step: int) -> Tensor:
        """Take a step with this process's share of a batch; its loss.

        Shape: -> scalar, on the network's device.
        """
        job, config = self.job, self.config
        # Dropout draws from the global generator; seeding each step makes it independent of where we resumed.
        torch.manual_seed(derive_seed(job.seed, job.key, step, *([rank()] if rank() else [])))
        self.network.train()
        for group in self.optimizer.param_groups:
            rate = learning_rate(*job.place(step), job.steps_per_epoch, config)
            group["lr"] = rate * group["lr_factor"]
        self.optimizer.zero_grad(set_to_none=True)
        loss = self._backward(batch, step)
        self._update()
        return loss

    def _backward(self, batch: TrainBatch, step: int) -> Tensor:
        """Add the gradients of the batch's parts, one after another; the loss of the whole batch."""
        parts = batch.parts(self.config.accumulate)
        taught, losses = self._pixels_taught(batch), []
        for part, share in zip(parts, self._shares(parts)):
            loss = self._loss_of(part, step, share, taught)
            # The processes' gradients are averaged, their losses add up.
            self.scaler.scale(loss * world()).backward()
            losses.append(loss.detach())
        return sum(losses[1:], losses[0])

    def _pixels_taught(self, batch: TrainBatch) -> Tensor | None:
        """How many pixels of the whole batch have a teacher's target; None without photographs."""
        if batch.targets is None:
            return None
        return summed((batch.targets[:, 0] != self.ignore_index).sum().to(self.device)).clamp_min(1)

    def _shares(self, parts: Sequence[TrainBatch]) -> Sequence[float | Tensor]:
        """How much each part counts in the loss of the batch: by its labelled pixels, if it has any."""
        if len(parts) == 1 or self.job.loss is not None:
            return [1 / len(parts)] * len(parts)
        amounts = [self.criterion.amount(part.labels.to(self.device), self.ignore_index) for part in parts]
        amounts = summed(torch.stack(amounts))
        return amounts / amounts.sum().clamp_min(1e-6)

    def _loss_of(self, part: TrainBatch, step: int, share: float | Tensor, taught: Tensor | None) -> Tensor:
        """The share of a part's loss in that of its batch, where `taught` pixels have a teacher's target."""
        job, config = self.job, self.config
        images = to_network(part.images, self.network)
        labels = part.labels.to(self.device, non_blocking=True)
        fusion = job.fusion(part, step) if job.fusion else nullcontext()
        half = torch.bfloat16 if config.precision == "bf16" else torch.float16
        with fusion as more, torch.autocast(self.device.type, half, enabled=config.precision != "fp32"):
            output = self.parallel(images)
        loss = self._loss(output, labels) * share
        for term in more or ():
            loss = loss + term / (world() * config.accumulate)
        return loss if part.targets is None else loss + self._taught(output, part.targets) / taught

    def _taught(self, output: dict[str, Tensor], targets: Tensor) -> Tensor:
        """The sum over pixels of photographs without labels, of the head and of the auxiliary one."""
        targets = targets.to(self.device, non_blocking=True)
        loss = taught_loss(output["out"], targets, self.ignore_index)
        if "aux" in output:
            loss = loss + self.config.aux_loss * taught_loss(output["aux"], targets, self.ignore_index)
        return loss

    def _update(self) -> None:
        """Take an optimizer step with the gradients, and let the average of the weights follow."""
        if self.config.clip_grad:
            self.scaler.unscale_(self.optimizer)
            nn.utils.clip_grad_norm_(self.network.parameters(), self.config.clip_grad)
        self.scaler.step(self.optimizer)  # with fp16 left out when a gradient is not finite
        self.scaler.update()
        if self.average is not None:
            self.average.update(self.network)

    def _loss(self, output: dict[str, Tensor], labels: Tensor) -> Tensor:
        if self.job.loss is not None:
            return self.job.loss(output, labels)
        aux_loss = self.config.aux_loss
        return loss_of(self.network, output, labels, self.ignore_index, aux_loss, self.criterion)
