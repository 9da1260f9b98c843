"""What happens to long runs: kills at random moments, a disk that fills up, hundreds of maps."""

import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import yaml
from forks import run_script
from tiny import REPOSITORY, demo_set, same_tensors
from torch import nn

from rws.core.cam import seg_grad_cam
from rws.runs import checkpoint
from rws.training import optimization

NETWORK = """
import torch.nn.functional as F
from torch import nn

def block(before, after, stride):
    conv = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
    return nn.Sequential(conv, nn.BatchNorm2d(after), nn.ReLU())

class Small(nn.Module):
    def __init__(self, classes):
        super().__init__()
        self.stage1, self.stage2, self.stage3 = block(3, 4, 2), block(4, 6, 2), block(6, 8, 1)
        self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Conv2d(8, classes, 1))
        # Maps of a hardly trained network that show a part of each object, so that slices are weak.
        nn.init.zeros_(self.classifier[1].weight)
        nn.init.ones_(self.classifier[1].weight[:, :1])

    def forward(self, x):
        logits = self.classifier(self.stage3(self.stage2(self.stage1(x))))
        return {"out": F.interpolate(logits, x.shape[-2:], mode="bilinear", align_corners=False)}

def small(classes):
    return Small(classes)

small.stages = ("stage1", "stage2", "stage3")
"""

# Forks a process for each kill, which a timer of the system ends with SIGKILL's effect: no handler runs.
KILLS = """
import json, os, random, signal, sys
import torch
import runpy
from rws.cycle import loop, setup  # before the clock starts
from rws.look import cam_vis  # before the clock starts
train = runpy.run_path(sys.argv[1], run_name="train")["main"]
kills, seed, longest = int(sys.argv[2]), int(sys.argv[3]), float(sys.argv[4])
moments, places, runs = random.Random(seed), [], 0
while len(places) < kills:
    process = os.fork()
    if not process:
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.setitimer(signal.ITIMER_REAL, moments.uniform(0.05, longest))
        os._exit(train(["--config", "c.yaml", "--resume", *sys.argv[5:]]))
    moments.random()  # the child's draw was its own
    _, status = os.waitpid(process, 0)
    if os.WIFSIGNALED(status):
        state = json.load(open("runs/run/state.json")) if os.path.exists("runs/run/state.json") else {}
        places.append([state.get("step"), state.get("cycle")])
    else:  # it has come to its end: another one
        assert status == 0, status
        os.rename("runs/run", f"runs/done{runs}")
        runs += 1
print(json.dumps(places))
"""


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with a small network, a set and a configuration of two cycles."""
    root = demo_set(tmp_path / "set")
    (tmp_path / "own.py").write_text(NETWORK)
    values = {
        "runs": "runs",
        "model": {"name": "own:small", "weights": "none", "aux": False},
        "data": {"name": "demo", "root": str(root), "base_size": 32, "crop_size": [32, 48], "workers": 0},
        "train": {"lr": 0.01, "optimizer": "adamw", "batch_size": 2, "epochs": 6, "checkpoint_steps": 1},
        "slices": {"step": 0.25, "most_per_image": 2},
        "cycles": {"limit": 2, "delta": 0, "start": "last"},
    }
    (tmp_path / "c.yaml").write_text(yaml.safe_dump(values))
    return tmp_path


def run(folder: Path, *flags: str, before: Callable = lambda: None) -> subprocess.CompletedProcess:
    return run_script(REPOSITORY / "train.py", "--config", "c.yaml", *flags, folder=folder, before=before)


def results(folder: Path) -> tuple[dict, dict]:
    summary = json.loads((folder / "summary.json").read_text())
    for c in summary["cycles"]:
        del c["seconds"]
    return {**summary, "name": ""}, checkpoint.load(folder / "last.pt")["model"]


def assert_same(one: tuple[dict, dict], other: tuple[dict, dict]) -> None:
    assert one[0] == other[0]
    assert same_tensors(one[1], other[1])


@pytest.mark.slow
@pytest.mark.parametrize(("kills", "longest", "flags"), [(50, 1.0, ()), (20, 2.0, ("--data.workers", "2"))])
def test_killed_at_random_moments_in_sequence(folder, kills, longest, flags):
    """Also with processes that load, which outlive the one that is killed."""
    done = run(folder, "--name", "whole")
    assert done.returncode == 0, done.stderr
    command = [
        sys.executable,
        "-c",
        KILLS,
        str(REPOSITORY / "train.py"),
        str(kills),
        "1",
        str(longest),
        *flags,
    ]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(REPOSITORY)}
    killed = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert killed.returncode == 0, killed.stderr
    places = json.loads(killed.stdout.splitlines()[-1])
    print(f"killed at {len(places)} moments, in steps {sorted({f'{s} {k}' for s, k in places})}")
    assert len(places) == kills
    assert len({tuple(place) for place in places}) >= 4
    assert run(folder, "--resume", *flags).returncode == 0
    finished = [path for path in (folder / "runs").iterdir() if path.name[0] != "." and path.name != "whole"]
    for path in finished:
        assert_same(results(path), results(folder / "runs/whole"))


def test_deterministic_runs_are_equal(folder):
    """Also with other hashes of strings, so that no result depends on the order of a set."""
    flags = ("--deterministic", "--train.epochs", "2", "--cycles.limit", "1", "--name")
    done = run(folder, *flags, "one")
    assert done.returncode == 0, done.stderr
    command = [sys.executable, str(REPOSITORY / "train.py"), "--config", "c.yaml", *flags, "two"]
    environment = {**os.environ, "PYTHONHASHSEED": "1", "PYTHONPATH": str(REPOSITORY)}
    subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    assert_same(results(folder / "runs/one"), results(folder / "runs/two"))
    assert any(results(folder / "runs/one")[0]["cycles"][1]["fused_share"].values()), "something is fused"
    assert yaml.safe_load((folder / "runs/one/config.yaml").read_text())["deterministic"] is True


@pytest.mark.parametrize("signum", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_script(folder, signum):
    """train.py stores the step that it is in, says how to go on, and exits as shells expect."""
    real, taken = optimization.segmentation_loss, []

    def loss(*args):
        taken.append(None)
        if len(taken) == 3:
            os.kill(os.getpid(), signum)
        return real(*args)

    done = run(folder, before=lambda: setattr(optimization, "segmentation_loss", loss))
    assert done.returncode == 128 + signum
    assert done.stderr.splitlines()[-1].startswith("interrupted; the same command with --resume goes on")
    assert checkpoint.load(folder / "runs/run/training.pt")["step"] == 3


@pytest.fixture
def small_disk(folder):
    """A disk of its own for the runs, which gives what it is asked for."""
    (folder / "runs").mkdir()

    def size(kilobytes: int, *more: str) -> None:
        options = ",".join([f"size={kilobytes}k", *more])
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder / "runs")]
        if subprocess.run(command, capture_output=True).returncode:
            pytest.skip("mounting a tmpfs needs root: run this test as root, or in a container of your own")

    yield size
    subprocess.run(["umount", "-l", str(folder / "runs")], capture_output=True)


@pytest.mark.slow
def test_a_disk_that_fills_up_leaves_the_last_good_state(folder, small_disk, tmp_path_factory):
    whole = tmp_path_factory.mktemp("whole")
    assert run(folder, "--runs", str(whole)).returncode == 0
    kilobytes, full = 48, 0
    small_disk(kilobytes)
    done = run(folder, "--resume")
    while done.returncode == 2:
        full += 1
        (line,) = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
        assert "no space left on device" in line.lower()
        assert "Traceback" not in done.stderr
        kilobytes *= 2
        small_disk(kilobytes, "remount")
        done = run(folder, "--resume")
    assert done.returncode == 0, done.stderr
    assert full >= 2
    assert_same(results(folder / "runs/run"), results(whole / "run"))


def resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.mark.skipif(not Path("/proc/self/statm").is_file(), reason="reads /proc, which Linux has")
def test_memory_does_not_grow_over_100_rounds_of_maps():
    torch.manual_seed(0)
    layers = [
        nn.Conv2d(3, 16, 3, 2, 1),
        nn.ReLU(),
        nn.Conv2d(16, 16, 3, 1, 1),
        nn.ReLU(),
        nn.Conv2d(16, 4, 1),
    ]
    network = nn.Sequential(*layers)
    stages = {"1": network[1], "3": network[3]}
    images, labels = torch.randn(4, 3, 128, 128), torch.randint(0, 4, (4, 128, 128))
    held = []
    for k in range(120):
        seg_grad_cam(network, stages, images, labels, [1, 2, 3])
        if k % 20 == 19:  # after the first twenty the allocator has what it needs
            gc.collect()
            held.append(resident_bytes())
    assert held[-1] - held[0] < 10 * 2**20
    assert not any(module._forward_hooks for module in network.modules())
