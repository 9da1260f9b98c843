"""What a command of one photograph loads: torch, and nothing that only another command needs."""

import subprocess
import sys

import numpy as np
import pytest
import torch
from PIL import Image

from rws.commands.main import main
from rws.data.classes import DEMO
from rws.models import FAMILIES, build_network
from rws.runs.model_file import Card, save_trained

LIGHT = "deeplabv3_efficientnet_lite0"
HEAVY = {"matplotlib", "scipy", "sklearn", "av", "pandas", "tensorboard", "pytorch_grad_cam"}
HEAVY |= {"torch._dynamo", "sympy", "onnx"}
RUN = """
import sys
from rws.commands.main import main
code = main(sys.argv[1:])
print(*sys.modules)
sys.exit(code)
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A photograph and an untrained network."""
    folder = tmp_path_factory.mktemp("start")
    torch.manual_seed(0)
    network, _ = build_network(LIGHT, DEMO.num_classes, weights="none")
    save_trained(folder / "net.pt", network, Card(LIGHT, True, FAMILIES[LIGHT].stages, DEMO, base_size=64))
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "photo.png")
    return folder


def words(folder, output: str) -> list[str]:
    photo, network = str(folder / "photo.png"), str(folder / "net.pt")
    return ["predict", photo, "--checkpoint", network, "--output", str(folder / output)]


def in_a_process(code: str, *argv: str) -> list[str]:
    done = subprocess.run([sys.executable, "-c", code, *argv], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()[-1].split()


def test_a_photograph_loads_no_matplotlib_no_ffmpeg_and_no_compiler_and_is_predicted_alike(folder):
    loaded = set(in_a_process(RUN, *words(folder, "alone")))
    assert {"torch", "torchvision", "rws.predict.photographs"} <= loaded
    assert HEAVY & loaded == set()
    # Here, where all of them are loaded, the same comes out.
    assert "torch._dynamo" in sys.modules
    assert main(words(folder, "here")) == 0
    written = [sorted(p.name for p in (folder / name).iterdir()) for name in ("alone", "here")]
    assert written[0] == written[1] == ["photo.png", "photo_overlay.jpg"]
    for name in written[0]:
        assert (folder / "alone" / name).read_bytes() == (folder / "here" / name).read_bytes()


def test_what_was_left_out_of_torchvision_is_there_when_it_is_asked_for():
    code = """
import torch
from rws.runtime.quick_torchvision import load_torchvision
disable = torch.compiler.disable
load_torchvision()
import sys, torchvision
from torchvision.ops import roi_align
early = "torch._dynamo" in sys.modules
supported = roi_align.__globals__["is_compile_supported"]("cpu")
import torch._dynamo.utils as real
boxes = [torch.tensor([[0.0, 0.0, 4.0, 4.0]])]
mean = roi_align(torch.arange(16.0).view(1, 1, 4, 4), boxes, 1, aligned=True).item()
print(early, supported == real.is_compile_supported("cpu"), torch.compiler.disable is disable, mean)
"""
    assert in_a_process(code) == ["False", "True", "True", "7.5"]
