"""How much memory a device has, and how much of it this process has held."""

from pathlib import Path

import torch

from rws.runtime.memory import memory_bytes


def memory_of(device: torch.device) -> int:
    """Bytes of memory that a device has."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return memory_bytes()


def peak_bytes(device: torch.device) -> int:
    """The most bytes of the device's memory that this process has held; 0 where the system does not say."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    # Not getrusage: what that says is handed on through fork and exec.
    status = Path("/proc/self/status")
    if not status.is_file():
        return 0
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines["VmHWM"].split()[0]) * 1024
