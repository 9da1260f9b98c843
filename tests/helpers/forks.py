"""Processes that are forked from this one: they start without the seconds that importing torch takes."""

import multiprocessing
import os
import runpy
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

from torch.distributed.launcher.api import LaunchConfig, elastic_launch
from torch.multiprocessing import start_processes


def run_script(path: Path, *flags: str, folder: Path, before: Callable = lambda: None) -> CompletedProcess:
    """Run a script in `folder` as a person does; `before` may replace what it calls, in its process alone."""

    def script() -> None:
        os.chdir(folder)
        for number, name in ((1, "out"), (2, "err")):
            file = (folder / f"std{name}.txt").open("w")  # until the process ends
            os.dup2(file.fileno(), number)
            setattr(sys, f"std{name}", file)
        sys.argv = [str(path), *flags]
        before()
        runpy.run_path(str(path), run_name="__main__")

    process = multiprocessing.get_context("fork").Process(target=script)
    process.start()
    process.join()
    said = [(folder / f"std{name}.txt").read_text() for name in ("out", "err")]
    return CompletedProcess([str(path), *flags], process.exitcode, *said)


def run_in_processes(count: int, work: Callable, *args: object) -> None:
    """Call work(*args) in processes that torchrun's own launcher starts, or in one that knows of no other."""
    if count > 1:
        ports = {"rdzv_backend": "c10d", "rdzv_endpoint": "localhost:0"}  # a free one, as --standalone takes
        once = {"max_restarts": 0, "monitor_interval": 0.02}
        config = LaunchConfig(1, 1, nproc_per_node=count, start_method="fork", **once, **ports)
        elastic_launch(config, work)(*args)
    else:
        start_processes(lambda rank: work(*args), start_method="fork")
