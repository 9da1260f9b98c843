"""Two processes do what one does: the same slices, the same selection, the same scores."""

import json
import multiprocessing
import os
import signal
import sys
from pathlib import Path

import processes
import pytest
import torch
from forks import run_in_processes
from tiny import demo_set, same_tensors

from rws.config import TrainConfig
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.runtime import distributed
from rws.runtime.signals import Interrupted, handled
from rws.training import optimization


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return demo_set(tmp_path_factory.mktemp("demo") / "set", train=6, val=3)


def started(root: Path, runs: Path, count: int, method: str = "rws") -> Path:
    """Run to the end; the run's folder."""
    run_in_processes(count, processes.run, method, root, runs)
    (folder,) = runs.iterdir()
    return folder


@pytest.fixture(scope="module")
def folders(root, tmp_path_factory) -> tuple[Path, Path]:
    one, two = (tmp_path_factory.mktemp(name) for name in ("one", "two"))
    return started(root, one, 1), started(root, two, 2)


def test_two_processes_end_with_the_scores_of_one(folders):
    one, two = (json.loads((folder / "summary.json").read_text()) for folder in folders)
    assert one["stopped"] == two["stopped"]
    assert len(one["cycles"]) == 3
    for arm in ("plain", "rws"):
        assert one[arm]["images"] == two[arm]["images"]
        assert two[arm]["miou"] == pytest.approx(one[arm]["miou"], abs=0.02)
    for a, b in zip(one["cycles"], two["cycles"]):
        assert (a["weak_slices"], a["windows"], a["kept_slices"]) == (
            b["weak_slices"],
            b["windows"],
            b["kept_slices"],
        )
        assert b["missing_weight"] == pytest.approx(a["missing_weight"], abs=1e-4)
        assert a["attention"]["images"] == b["attention"]["images"] == 6
        assert a["attention"]["groups"]
        for one, other in zip(a["attention"]["groups"], b["attention"]["groups"], strict=True):
            assert other.pop("missing") == pytest.approx(one.pop("missing"), abs=1e-3)
            assert other == one, "classes, sizes, pixels and images"


def test_two_processes_choose_the_slices_and_the_n_of_one(folders):
    for cycle in ("0", "1", "2"):
        boxes = [checkpoint.read_json(f / "cycles" / cycle / "slices.json") for f in folders]
        assert boxes[0] == boxes[1]
    one, two = (Bank(f / "cycles/1/bank") for f in folders)
    read, apart = 0, 0.0
    for image_id in boxes[0]:
        assert (image_id in one) == (image_id in two)
        a, b = one.read(image_id), two.read(image_id)
        assert set(a) == set(b)
        for stage in a:
            # A cell whose slice is hardly better may fall to the other side by rounding.
            n = [
                torch.ones(rows[stage].grid).flatten().index_put((rows[stage].cells,), rows[stage].n)
                for rows in (a, b)
            ]
            assert ((n[0] - n[1]).abs() < 5e-3).float().mean() > 0.98
            apart = max(apart, float((n[0] - n[1]).abs().max()))
            read += len(a[stage].cells)
    print(f"largest difference of n: {apart:.1e} over {read} fused cells")
    assert read > 50


def test_each_process_wrote_a_shard_of_the_bank_and_the_first_everything_else(folders):
    shards = [sorted(p.name for p in (f / "cycles/1/bank").glob("*.rows")) for f in folders]
    assert shards == [["0.rows"], ["0.rows", "1.rows"]]
    sizes = [p.stat().st_size for p in (folders[1] / "cycles/1/bank").glob("*.rows")]
    assert min(sizes) > 0.2 * max(sizes)
    names = [sorted(str(p.relative_to(f)) for p in f.rglob("*.pt")) for f in folders]
    assert names[0] == names[1]
    assert_close_weights(folders)


def assert_close_weights(folders: tuple[Path, Path]) -> None:
    one, two = (checkpoint.load(f / "last.pt")["model"] for f in folders)
    print(f"largest difference of a weight: {max((two[k] - one[k]).abs().max() for k in one):.1e}")
    torch.testing.assert_close(two, one, rtol=0, atol=2e-3)


def test_two_processes_run_the_rounds_of_one(root, tmp_path):
    """SC-CAM: the same sub-categories, the same networks, the same label maps."""
    folders = (
        started(root, tmp_path / "one", 1, "sc_cam"),
        started(root, tmp_path / "two", 2, "sc_cam"),
    )
    assert_close_weights(folders)
    for r in ("1", "2"):
        one, two = (checkpoint.load(f / "rounds" / r / "sub_categories.pt")["labels"] for f in folders)
        assert torch.equal(one, two)
    one, two = (json.loads((f / "summary.json").read_text()) for f in folders)
    assert two["last"]["miou"] == pytest.approx(one["last"]["miou"], abs=0.02)
    for a, b in zip(one["rounds"], two["rounds"], strict=True):
        assert b["loss"] == pytest.approx(a["loss"], abs=1e-5)
        assert b["threshold"] == a["threshold"]
        assert [b[s]["miou"] for s in ("train", "val")] == pytest.approx(
            [a[s]["miou"] for s in ("train", "val")], abs=0.02
        )
    names = [sorted(p.name for p in (f / "labels").iterdir()) for f in folders]
    assert names[0] == names[1]
    assert len(names[0]) == 6


sys.path.append(str(Path(__file__).parents[1] / "training"))  # test_training, for the processes


def follow(folder: Path) -> None:
    """Train with an average of the weights; each process writes it, and the network after the last step."""
    from test_training import make_training

    with distributed.processes(torch.device("cpu")):
        training = make_training(folder / "t.pt", TrainConfig(optimizer="adamw", lr=0.01, ema=0.9))
        average, own = training.stepper.average, {}
        real = average.update

        def update(network):
            real(network)
            own.update({key: value.clone() for key, value in network.state_dict().items()})

        average.update = update
        training.run()
        torch.save([average.model.state_dict(), own], folder / f"{distributed.rank()}.pt")


def test_an_average_of_weights_is_the_same_in_all_processes(tmp_path):
    """Also where each has batch statistics of its own images, as on CPUs."""
    run_in_processes(2, follow, tmp_path)
    one, two = (torch.load(tmp_path / f"{rank}.pt") for rank in (0, 1))
    assert same_tensors(one[0], two[0])
    assert not same_tensors(one[1], two[1]), "the networks' own running statistics differ"


def train_until_the_launcher_is_gone(folder: Path, said: int) -> None:
    """The first of the processes kills torchrun in its third step; what ends each goes into a pipe."""
    from test_training import make_training

    real, taken = optimization.segmentation_loss, []

    def loss(*args):
        taken.append(None)
        if len(taken) == 3 and distributed.is_first():
            os.kill(os.getppid(), signal.SIGKILL)
        return real(*args)

    optimization.segmentation_loss = loss
    try:
        with handled(), distributed.processes(torch.device("cpu")):
            make_training(folder / "t.pt", steps=5000).run()
    except Interrupted as error:
        os.write(said, f"{error.code} {len(taken)}\n".encode())
    os._exit(0)  # torch's launcher of functions lets them wait until it has read what they return


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only Linux tells of a parent's death")
def test_when_torchrun_is_killed_its_processes_store_the_training_and_end(tmp_path):
    said, say = os.pipe()
    launcher = multiprocessing.get_context("fork").Process(
        target=run_in_processes, args=(2, train_until_the_launcher_is_gone, tmp_path, say)
    )
    launcher.start()
    os.close(say)
    with os.fdopen(said) as pipe:  # ends when both processes have
        one, two = pipe.read().splitlines()
    launcher.join()
    assert launcher.exitcode == -signal.SIGKILL
    code, steps = one.split()
    assert (one, code) == (two, "143")
    assert 3 <= int(steps) < 5000
    assert checkpoint.load(tmp_path / "t.pt")["step"] == int(steps)


def test_one_process_alone_needs_no_launcher():
    assert (distributed.rank(), distributed.world(), distributed.is_first()) == (0, 1, True)
    assert distributed.own([3, 4, 5]) == [3, 4, 5]
    assert distributed.gathered("x") == ["x"]
    values = torch.tensor([1.0, 2.0])
    assert distributed.summed(values) is values
    network = torch.nn.Linear(2, 1)
    assert distributed.parallel(network, torch.device("cpu")) is network
    distributed.barrier()
