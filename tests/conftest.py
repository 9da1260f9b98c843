"""What tests of any folder ask for: the tiny network among the families; one thread for all.

On few cores torch's threads wait for each other longer than they compute.
"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the scripts that tests start

import pytest
import torch
from tiny import TINY, NoScalars

from rws.models import FAMILIES
from rws.runs import loggers

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def tiny_family():
    """In a file that asks for it with pytestmark, `tiny` is a network's name."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(FAMILIES, "tiny", TINY)
        yield


@pytest.fixture(scope="module")
def tiny_runs(tiny_family):
    """`tiny` is a network's name, and runs write nothing for tensorboard."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(loggers, "SummaryWriter", NoScalars)
        yield
