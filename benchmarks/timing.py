"""Timing two things in turns, and the peak memory of one of them."""

import json
import multiprocessing
import os
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile

from rws.runtime.allocator import usual_memory
from rws.runtime.bars import tracked

Work = Callable[[], object]
Clock = Callable[[], float]
Measure = Callable[[Work, torch.device, Clock], float]


@dataclass(frozen=True)
class Samples:
    """Measurements of ours and of the peer, in the order in which they were taken."""

    ours: list[float]
    peer: list[float]

    @property
    def medians(self) -> tuple[float, float | None]:
        return median(self.ours), median(self.peer) if self.peer else None


def seconds(work: Work, device: torch.device, clock: Clock = time.perf_counter) -> float:
    """Seconds of one call, by the wall clock unless told, with everything that it started on the device."""
    _synchronise(device)
    start = clock()
    work()
    _synchronise(device)
    return clock() - start


def told_by_itself(work: Work, device: torch.device, clock: Clock) -> float:
    """Seconds that the work itself counts and returns, by the wall clock."""
    return work()


def _synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def alternate(
    ours: Work,
    peer: Work,
    repeats: int,
    device: torch.device,
    *,
    warm_up: bool = True,
    rehearse: bool = False,
    clock: Clock = time.perf_counter,
    measure: Measure = seconds,
) -> Samples:
    """Seconds of A B A B ... in this process, after a warm-up of each.

    Without `warm_up`, for work of a minute or more, the first calls count as samples. With `rehearse` ours is
    called once more, untimed, before each of its samples: where the peer's work consists of several calls
    alike, all but its first find the memory that the one before has left, and so should ours.
    """
    samples = Samples([], [])
    if warm_up:
        ours()
        peer()
    for _ in tracked(range(repeats), desc="A B", leave=False):
        if rehearse:
            ours()
        samples.ours.append(measure(ours, device, clock))
        samples.peer.append(measure(peer, device, clock))
    return samples


def as_the_system_has_it(work: Work) -> Work:
    """Work without `keep_freed_memory`: of what is freed the C library keeps no more than by itself."""

    def usual() -> object:
        with usual_memory():
            return work()

    return usual


def in_turns(
    works: dict[str, Work],
    repeats: int,
    device: torch.device,
    clock: Clock = time.perf_counter,
    measure: Measure = seconds,
) -> dict[str, list[float]]:
    """Seconds of A B C A B C ... in this process, after a warm-up of each."""
    for work in works.values():
        work()
    samples: dict[str, list[float]] = {name: [] for name in works}
    for _ in tracked(range(repeats), desc=" ".join(works), leave=False):
        for name, work in works.items():
            samples[name].append(measure(work, device, clock))
    return samples


def peak_memory(prepare: Callable[..., Work], *args: object, device: torch.device) -> int:
    """Bytes that `prepare(*args)()` takes at its peak, in a process of its own.

    On the CPU that is the peak of the resident memory over what the process held before `prepare` (torch and
    all modules are loaded by then); on CUDA the peak of what torch allocated. `prepare` must be a function of
    a module.
    """
    context = multiprocessing.get_context(
        "spawn"
    )  # a fork would inherit the parent's memory and OpenMP state
    reader, writer = context.Pipe(duplex=False)
    threads = torch.get_num_threads()
    child = context.Process(target=_report_peak, args=(writer, prepare, args, device.type, threads))
    child.start()
    writer.close()
    try:
        return reader.recv()
    except EOFError:
        raise RuntimeError(f"{prepare.__name__}{args}: the process ended before it reported") from None
    finally:
        child.join()


def peak_of_tensors(work: Work) -> int:
    """Bytes of all tensors that exist at once on the CPU while a work runs, at most; of a second call.

    Without the program itself, what it was compiled to, and the gaps between what is freed and what is asked
    for next: these are what `peak_memory` finds beside it.
    """
    work()
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as found:
        work()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "trace.json")
        found.export_chrome_trace(str(path))
        events = json.loads(path.read_text())["traceEvents"]
    return max(e["args"]["Total Allocated"] for e in events if e.get("name") == "[memory]")


def _report_peak(writer, prepare: Callable[..., Work], args: tuple, device: str, threads: int) -> None:
    torch.set_num_threads(threads)
    before = 0 if device == "cuda" else _resident("VmRSS")
    work = prepare(*args)
    _reset_peak(device)
    work()
    peak = torch.cuda.max_memory_allocated() if device == "cuda" else _resident("VmHWM")
    writer.send(peak - before)


def _resident(field: str) -> int:
    """VmRSS (now) or VmHWM (peak) of this process in bytes.

    Linux hands getrusage's ru_maxrss on through fork and exec, so a child would report its parent's peak.
    """
    status = Path("/proc/self/status")
    if not status.is_file():
        import resource

        unit = 1 if os.uname().sysname == "Darwin" else 1024
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
    lines = dict(line.split(":", 1) for line in status.read_text().splitlines())
    return int(lines[field].split()[0]) * 1024


def _reset_peak(device: str) -> None:
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()
    elif os.access("/proc/self/clear_refs", os.W_OK):
        Path("/proc/self/clear_refs").write_text("5")
