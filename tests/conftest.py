"""One thread for every test: on few cores torch's threads wait for each other longer than they compute."""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the scripts that tests start

import torch

torch.set_num_threads(1)
