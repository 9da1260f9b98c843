"""Where and with what a measurement was made."""

import os
import platform
import re
import subprocess
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import torch

PACKAGES = ("torch", "torchvision", "grad-cam", "numpy", "onnxruntime", "openvino")


def processor() -> str:
    """The CPU's model."""
    info = Path("/proc/cpuinfo")
    found = re.search(r"model name\s*:\s*(.+)", info.read_text()) if info.is_file() else None
    return found[1].strip() if found else platform.processor() or platform.machine()


def machine(device: torch.device) -> dict:
    """What does not change from run to run."""
    accelerator = torch.cuda.get_device_name(device) if device.type == "cuda" else None
    return {
        "processor": processor(),
        "cores": os.cpu_count(),
        "accelerator": accelerator,
        "system": f"{platform.system()} {platform.machine()}",
    }


def file_stem(device: torch.device) -> str:
    """The machine as part of a file name."""
    here = machine(device)
    name = here["accelerator"] or f"{here['processor']} {here['cores']} cores"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def commit() -> str:
    """The commit that is checked out, "+dirty" where tracked files or new source differ from it."""

    def git(*args: str) -> str:
        done = subprocess.run(["git", *args], capture_output=True, text=True, cwd=Path(__file__).parent)
        return done.stdout.strip() if done.returncode == 0 else ""

    head = git("rev-parse", "HEAD") or "unknown"
    # Results of earlier benchmarks are no change of what is measured.
    changed = git("status", "--porcelain", "--", ":/", ":(exclude,top)benchmarks/results")
    return head + ("+dirty" if changed else "")


def _versions() -> dict[str, str]:
    """Of the packages that are installed."""
    found = {}
    for package in PACKAGES:
        with suppress(PackageNotFoundError):
            found[package] = version(package)
    return found


def circumstances() -> dict:
    """What may change from run to run, as the run starts."""
    load = os.getloadavg() if hasattr(os, "getloadavg") else None
    return {
        "commit": commit(),
        "python": platform.python_version(),
        "versions": _versions(),
        "threads": torch.get_num_threads(),
        "load_average": [round(x, 2) for x in load] if load else None,
    }
