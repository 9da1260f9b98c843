"""What to change in a run that does not fit, or that takes long."""

from rws.config import Config
from rws.cost.reckon import Plan
from rws.runs.record import STEPS

FULL = 0.9  # of the memory or the disk
# What makes each step of a cycle cheaper.
CHEAPER = {
    "whole": "fewer --train.epochs, a smaller --data.crop_size, or --train.precision bf16 on a GPU",
    "plain": "--cycles.plain false trains no network to compare with",
    "score": "fewer --slices.missing_images",
    "slices": "--train.slice_epochs 0.25, or --slices.most_per_image 4",
    "select": "--slices.most_per_image 4, or one class at a time by --data.category",
}


def advice(config: Config, plan: Plan, memory: float, disk: float) -> list[str]:
    """A sentence for each thing that does not fit `memory` and `disk` bytes, and for the dearest step."""
    found = []
    if plan.memory > FULL * memory:
        size = config.train.batch_size
        found.append(
            f"memory: {plan.memory / 1e9:.1f} of {memory / 1e9:.1f} GB; take --train.batch_size "
            f"{max(1, size // 2)} for {size}, or a smaller --data.crop_size"
        )
    needed = plan.bank + plan.files
    if needed > FULL * disk:
        way = "--bank.online true (slower, hardly any disk)" if plan.bank > plan.files else "another --runs"
        found.append(f"disk: {needed / 1e9:.1f} of {disk / 1e9:.1f} GB that are free; take {way}")
    most = max(plan.seconds, key=plan.seconds.get)
    found.append(f"most of the time is for {STEPS[most]}; less takes: {CHEAPER[most]}")
    return found
