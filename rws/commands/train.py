"""Train a network with RWS, and stop when the last cycle has helped no more.

    rws train                                                   the demo
    rws train --config voc2012_resnet50 --data.root data
    rws train --config voc2012_category --data.category cat
    rws train --config mine.yaml --resume                       go on with a run that was stopped
    rws train --config demo --cam-vis --name looked             with heat maps of every stage
    rws train --config sc_cam_voc                               SC-CAM, from image-level labels
    torchrun --nproc-per-node 4 -m rws train --config voc2012_resnet50    four GPUs of one machine

--config takes the name of a configuration that comes with the code, or a YAML file. Flags win over it, and it
wins over the defaults; `--help` shows the options that most people need, `--help-all` every one.
"""

from argparse import ArgumentParser
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial

from rws.cli import Command, help_parser, parse
from rws.errors import exit_code
from rws.runtime.allocator import keep_freed_memory
from rws.runtime.bars import say


def describe(command: Command, setup, loaded) -> str:
    """What is about to run, in a few lines."""
    config, train = setup.config, setup.config.train
    auto = f" (train.images {train.images:,})" if command.config.train.epochs == "auto" else ""
    more = f", {len(setup.photographs)} photographs without labels" if setup.photographs else ""
    return (
        f"configuration: {command.source}; run folder: {setup.folder}\n"
        f"{loaded}\n"
        f"{len(setup.train.ids)} training and {len(setup.val.ids)} validation images{more}, "
        f"{setup.card.classes.num_classes} classes; device {setup.device}\n"
        f"batch {train.batch_size}, {train.optimizer} lr {train.lr:g}, {train.epochs} epochs{auto} "
        f"a training, at most {config.cycles.limit} cycles, each from the {config.cycles.start} weights"
    )


def train(command: Command) -> None:
    """Run what the configuration says, alone in the run's folder."""
    from rws.cycle.loop import Run
    from rws.cycle.setup import prepare
    from rws.models import sc_cam
    from rws.runs.identity import check_folder, is_run
    from rws.runs.lock import only_one
    from rws.runtime import distributed
    from rws.runtime.device import choose_device
    from rws.runtime.seeding import take_deterministic_kernels
    from rws.runtime.signals import handled
    from rws.sc_cam.rounds import Rounds

    config, insists = command.config, command.resume_with_changes
    existing = {"resume": command.resume or insists, "overwrite": command.overwrite, "with_changes": insists}
    if config.deterministic:
        take_deterministic_kernels()
    folder = check_folder(config, **existing)
    unbegun = existing["resume"] and not is_run(folder)
    with (
        handled(),
        distributed.processes(choose_device(config.device)),
        only_one(folder) if distributed.is_first() else nullcontext(),
    ):
        setup, loaded = prepare(config, **existing)
        if distributed.is_first():
            if unbegun:
                say(f"{folder}: no run is there to go on with; it begins")
            say(*describe(command, setup, loaded).split("\n"))
        if config.model.name in sc_cam.FAMILIES:
            Rounds(setup).run()
        else:
            from rws.look.cam_vis import pictures  # matplotlib takes a second to load

            Run(setup, pictures(config)).run()
        if distributed.is_first():
            from rws.report.write import write_or_warn

            write_or_warn(setup.folder, config, (setup.train, setup.val))


def main(flags: list[str], prog: str = "rws train") -> int:
    """Train as a command line says; the exit code."""
    keep_freed_memory()
    advice = "the same command with --resume goes on from the last checkpoint"
    return answer(flags, partial(make_parser, prog=prog), advice)


def make_parser(everything: bool = True, prog: str = "rws train") -> ArgumentParser:
    """What shows the help of `rws train`."""
    return help_parser(__doc__.replace("\n    rws train", f"\n    {prog}"), prog, everything=everything)


def answer(flags: list[str], parser: Callable[[bool], ArgumentParser], interrupted: str) -> int:
    """Do what the flags of train, check or stages ask for; the exit code. `parser` shows the help."""
    return exit_code(
        partial(_run, flags, parser),
        results="a run is written into --runs/--name",
        interrupted=f"interrupted; {interrupted}",
    )


def _run(flags: list[str], parser: Callable[[bool], ArgumentParser]) -> None:
    if asked := {"-h", "--help", "--help-all"} & {flag.replace("_", "-") for flag in flags}:
        say(*parser("--help-all" in asked).format_help().split("\n"))
        return
    command = parse(flags)
    # All that loads torch is imported late: a wrong flag is answered at once.
    if command.check_data:
        from rws.look.check_data import check_data

        check_data(command.config)
    elif command.list_stages:
        from rws.look.stage_table import stage_table

        say(*stage_table(command.config).split("\n"))
    else:
        train(command)
