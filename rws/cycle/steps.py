"""The steps of a cycle, in one form: from the run and the number of a cycle to a part of the cycle's record.

Of the method's five, look, find, train on slices, select and fuse: `whole` trains, fused; `score` looks and
finds; `slices` trains on slices; `select` selects. `plain` trains the network that RWS is compared with, and
`teach` sees photographs without labels for the training after it.
"""

import shutil
from collections.abc import Callable
from pathlib import Path

from rws.cycle.context import RunContext
from rws.cycle.faults import fault
from rws.cycle.setup import uses_slices
from rws.cycle.trainings import plain_job, slices_job, train, whole_job
from rws.data.sliced_images import sliced_loader
from rws.method.bank import Bank
from rws.method.cams import CamNetwork
from rws.method.random_control import draw_boxes, select_random
from rws.method.score import score_images
from rws.method.select import select_features
from rws.method.teacher import targets_of
from rws.runs.record import Part, shown
from rws.runtime.distributed import is_first
from rws.runtime.seeding import derive_seed


def whole(run: RunContext, k: int) -> Part:
    """Train on whole images, fused with what the cycle before selected."""
    network = run.start(k - 1)
    bank = run.artifacts.bank(k - 1) if k and run.config.fusion.enabled else None
    job = whole_job(run, k, network, bank)
    trained = train(run, "whole", k, network, job)
    images = len(run.setup.train.ids)
    found = {"images": images, "whole": trained.history, "whole_images": trained.steps * job.batch_size}
    if bank is not None:
        found["fused_share"] = bank.fused_share(images)
    return Part(found, trained.spent)


def plain(run: RunContext, k: int) -> Part:
    """Train the plain network further, by as many images as RWS saw unless `early_stop` ends it before.

    Its first training is that of RWS.
    """
    if not run.config.cycles.plain:
        return Part()
    if k == 0:
        if is_first():
            run.artifacts.copy_whole("plain", 0)
        first = run.records[0]
        return Part({"plain": first.whole, "plain_images": first.whole_images})
    job = plain_job(run, k)
    trained = train(run, "plain", k, run.network(k - 1, "plain"), job)
    images = trained.steps * job.batch_size
    return Part({"plain": trained.history, "plain_images": images}, trained.spent)


def score(run: RunContext, k: int) -> Part:
    """Look at the training images and find the weak slices, where anything uses them: steps 1 and 2.

    Where nothing does, cam_vis alone looks.
    """
    wanted = uses_slices(run.config)
    if not wanted and not run.config.cam_vis:
        return Part()
    scored = run.scored(run.network(k))
    part = _found(run, k, scored) if wanted else Part()
    for hook in run.hooks:
        hook.after_scoring(run, k, scored)
    return part


def _found(run: RunContext, k: int, scored: CamNetwork) -> Part:
    ids, title = run.setup.train.ids, shown("score", k)
    scores = score_images(scored, run.setup.train_batches, ids, run.config.slices, title)
    run.artifacts.write_boxes(k, scores.boxes)
    return Part(
        {
            "weak_slices": scores.weak,
            "windows": scores.windows,
            "kept_slices": sum(len(boxes) for boxes in scores.boxes.values()),
            "missing_weight": scores.missing,
            "attention": scores.attention,
        }
    )


def slices(run: RunContext, k: int) -> Part:
    """Train a copy on the weak slices, where fusion uses it; without epochs it stays a copy: step 3."""
    if not run.config.fusion.enabled:
        return Part()
    if not run.config.train.slice_epochs:
        if is_first():
            run.artifacts.copy_whole("slices", k)
        return Part({"slice_images": 0})
    job = slices_job(run, k)
    trained = train(run, "slices", k, run.start(k), job)
    loss = trained.history[-1]["loss"]
    return Part({"slice_images": job.steps * job.batch_size, "slice_loss": loss}, trained.spent)


def select(run: RunContext, k: int) -> Part:
    """Let the slices compete, and write the winners' features into the bank: step 4."""
    if not run.config.fusion.enabled:
        return Part()
    sliced = run.scored(run.network(k, "slices"))
    if run.config.fusion.positions == "random":
        _select_at_random(run, k, sliced)
    else:
        _select(run, k, sliced, run.artifacts.left("select", k))
    return Part()


def _select(run: RunContext, k: int, sliced: CamNetwork, folder: Path) -> None:
    config = run.config
    select_features(
        run.scored(run.network(k)),
        sliced,
        sliced_loader(run.sliced_images(run.artifacts.boxes(k)), run.setup.workers),
        folder,
        config.train.eval_batch_size,
        "winner" if config.bank.online else config.bank.precision,
        shown("select", k),
    )


def _select_at_random(run: RunContext, k: int, sliced: CamNetwork) -> None:
    """Select as many positions as an ordinary selection has, which may be lent, each at a random place."""
    artifacts, lent = run.artifacts, run.artifacts.lent(k)
    if fault(lent):
        _select(run, k, sliced, lent)
    found, seed = Bank(lent), derive_seed(run.config.seed, f"random-{k}")
    boxes = draw_boxes(found, artifacts.boxes(k), run.setup.train, run.config.slices, seed)
    loader = sliced_loader(run.sliced_images(boxes), run.setup.workers)
    size, title = run.config.train.eval_batch_size, shown("select", k)
    select_random(sliced, found, loader, artifacts.left("select", k), size, seed, title)
    if is_first():
        shutil.rmtree(lent)


def teach(run: RunContext, k: int) -> Part:
    """See the photographs without labels, and keep what the network makes of them for the next training."""
    if not run.config.teaches:
        return Part()
    passes, photographs = run.config.train.teacher_passes, run.setup.photographs
    card, title = run.setup.card, shown("teach", k)
    targets = targets_of(run.network(k).eval(), card, photographs, passes, title)
    run.artifacts.write_targets(k, targets)
    return Part({"taught": len(targets)})


# By the names that the files of a run keep, in their order.
ACTIONS: dict[str, Callable[[RunContext, int], Part]] = {
    "whole": whole,
    "plain": plain,
    "score": score,
    "slices": slices,
    "select": select,
    "teach": teach,
}
