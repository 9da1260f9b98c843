"""The bank on disk: what comes back, what is stored, what is read."""

import builtins
import pickle

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from rws.core.advantage import BestSlices
from rws.core.slices import window_boxes
from rws.errors import UserError
from rws.method.bank import Bank, BankWriter, Rows, clear, seal

CHANNELS = {"early": 3, "late": 5}
GRIDS = {"early": (8, 10), "late": (4, 5)}


def some_rows(stage, count, seed):
    generator = torch.Generator().manual_seed(seed)
    grid = GRIDS[stage]
    cells = torch.randperm(grid[0] * grid[1], generator=generator)[:count].sort().values
    f = torch.randn(count, CHANNELS[stage], generator=generator)
    return Rows(cells, torch.rand(count, generator=generator) * 0.9, f, grid)


COUNTS = {"a": (20, 7), "b": (0, 0), "c": (3, 0), "d": (80, 20)}
WRITTEN = {
    image_id: {stage: some_rows(stage, n, 10 * i + k) for k, (stage, n) in enumerate(zip(CHANNELS, counts))}
    for i, (image_id, counts) in enumerate(COUNTS.items())
}


def write(folder, images=WRITTEN, precision="half", shard=0):
    writer = BankWriter(folder, CHANNELS, precision, shard=shard)
    for image_id, stages in images.items():
        writer.add(image_id, stages)
    writer.close()
    seal(folder)


@pytest.fixture(params=["half", "int8"])
def precision(request):
    return request.param


@pytest.fixture
def folder(tmp_path, precision):
    """A bank of four images; b has no rows at all and c none at the late stage."""
    write(tmp_path / "bank", precision=precision)
    return tmp_path / "bank"


def assert_rows(found, written):
    """What was written up to half precision of n, and of f half precision or half a step of 256."""
    assert torch.equal(found.cells, written.cells)
    assert found.cells.dtype == torch.int64
    assert torch.equal(found.n, written.n.half().float())
    assert found.grid == written.grid
    half_step = (written.f.amax(1) - written.f.amin(1)) / 255 / 2 + 1e-6
    exact_half = torch.equal(found.f, written.f.half().float())
    assert exact_half or ((found.f - written.f).abs() <= half_step[:, None]).all()


def test_rows_come_back_in_the_precision_of_the_bank(folder, precision):
    bank = Bank(folder)
    assert bank.stages == ("early", "late")
    for image_id in ("d", "a", "c", "d"):  # not in the order of writing
        found = bank.read(image_id)
        assert set(found) == {stage for stage, rows in WRITTEN[image_id].items() if len(rows.cells)}
        assert len(found) == len(set(found))
        for stage, rows in found.items():
            assert_rows(rows, WRITTEN[image_id][stage])
            exact_half = torch.equal(rows.f, WRITTEN[image_id][stage].f.half().float())
            assert exact_half == (precision == "half")


def test_an_image_without_rows_is_there_and_empty_and_another_is_not(folder):
    bank = Bank(folder)
    assert "b" in bank
    assert bank.read("b") == {}
    assert "z" not in bank
    assert bank.read("z") == {}
    with pytest.raises(KeyError):
        bank.read("c")["late"]


def test_a_bank_without_any_row_is_readable(tmp_path):
    empty = {stage: some_rows(stage, 0, 0) for stage in CHANNELS}
    for precision in ("half", "int8"):
        write(tmp_path / "bank", {"a": empty}, precision)
        assert Bank(tmp_path / "bank").read("a") == {}
        assert Bank(tmp_path / "bank").fused_share(1) == {"early": 0, "late": 0}


def test_fault_10_nothing_but_the_rows_takes_room(folder, precision):
    each = {"half": 4 + 2, "int8": 4 + 4 + 4 + 2}[precision]  # cell, low, step, n
    value = {"half": 2, "int8": 1}[precision]
    expected = 0
    for counts in COUNTS.values():
        for count, channels in zip(counts, CHANNELS.values()):
            expected += -(-count * (each + value * channels) // 4) * 4
    assert (folder / "0.rows").stat().st_size == expected


def test_only_cells_with_n_below_1_are_stored(tmp_path):
    torch.manual_seed(0)
    boxes = window_boxes(20, 30)[:5]
    best = BestSlices(torch.rand(2, 20, 30), [(3, 8, 10), (5, 4, 5)])
    features = torch.randn(5, 3, 4, 4), torch.randn(5, 5, 2, 2)
    best.update(torch.rand(5, 2, 10, 15), boxes, features)
    write(
        tmp_path / "bank",
        {"a": {stage: Rows(*best.rows(k), GRIDS[stage]) for k, stage in enumerate(CHANNELS)}},
    )
    for k, (stage, rows) in enumerate(Bank(tmp_path / "bank").read("a").items()):
        dense = torch.ones(GRIDS[stage]).flatten()
        dense[rows.cells] = rows.n.float()
        torch.testing.assert_close(dense.view(GRIDS[stage]), best.n[k], rtol=0, atol=1e-3)
        assert len(rows.cells) == (best.n[k] < 1).sum() < dense.numel()
        assert (rows.n < 1).all()


def test_reading_an_image_touches_only_its_record(folder, monkeypatch):
    bank = Bank(folder)
    end = sum(part.size(bank.precision) for image in "abc" for part in bank.read(image).parts.values())
    # The bytes of the images after it need not be there.
    (folder / "0.rows").write_bytes((folder / "0.rows").read_bytes()[:end])
    opened = []

    def watched(path, *args, **kwargs):
        opened.append(str(path)[-6:])
        return whole_open(path, *args, **kwargs)

    whole_open = builtins.open
    monkeypatch.setattr(builtins, "open", watched)
    assert_rows(bank.read("c")["early"], WRITTEN["c"]["early"])
    assert bank.read("b") == {}
    assert opened == ["0.rows"], "one file, and none for an image without rows"
    with pytest.raises(UserError, match=r"0\.rows: damaged"):
        bank.read("d")


def test_rows_are_the_readers_own(folder):
    bank = Bank(folder)
    bank.read("a").block.fill_(7)
    assert_rows(bank.read("a")["early"], WRITTEN["a"]["early"])


class Reading(Dataset):
    def __init__(self, bank):
        self.bank, self.ids = bank, list(COUNTS)

    def __len__(self):
        return len(self.ids)

    def __getitem__(self, index):
        return self.ids[index], self.bank.read(self.ids[index])


def test_workers_read_the_bank(folder):
    bank = Bank(folder)
    bank.read("a")
    seen = dict(DataLoader(Reading(bank), batch_size=None, num_workers=2, collate_fn=lambda pair: pair))
    assert list(seen) == list(COUNTS)
    for image_id, stages in seen.items():
        assert set(stages) == {stage for stage, rows in WRITTEN[image_id].items() if len(rows.cells)}
        for stage, rows in stages.items():
            assert_rows(rows, WRITTEN[image_id][stage])


def test_pickling_carries_no_feature(folder):
    bank = Bank(folder)
    empty = len(pickle.dumps(bank))
    for image_id in COUNTS:
        bank.read(image_id)
    assert len(pickle.dumps(bank)) == empty
    assert_rows(pickle.loads(pickle.dumps(bank)).read("d")["late"], WRITTEN["d"]["late"])


@given(
    values=st.lists(st.lists(st.floats(-6e4, 6e4, width=32), min_size=4, max_size=4), min_size=1, max_size=5)
)
def test_int8_rows_are_within_half_a_step_of_what_was_written(tmp_path_factory, values):
    f = torch.tensor(values)
    rows = Rows(torch.arange(len(f)), torch.zeros(len(f)), f, (2, 3))
    folder = tmp_path_factory.mktemp("bank")
    writer = BankWriter(folder, {"s": 4}, "int8")
    writer.add("a", {"s": rows})
    writer.close()
    seal(folder)
    step = (f.amax(1) - f.amin(1)) / 255
    error = (Bank(folder).read("a")["s"].f - f).abs().amax(1)
    assert (error <= step * 0.51 + f.abs().amax(1) * 1e-6 + 1e-30).all()


def test_a_constant_row_comes_back_exactly(tmp_path):
    writer = BankWriter(tmp_path, {"s": 3}, "int8")
    f = torch.tensor([[0.0] * 3, [0.3] * 3, [-7.0] * 3])
    writer.add("a", {"s": Rows(torch.arange(3), torch.zeros(3), f, (1, 3))})
    writer.close()
    seal(tmp_path)
    assert torch.equal(Bank(tmp_path).read("a")["s"].f, f)


def test_features_beyond_half_precision_are_clamped(tmp_path, precision):
    f = torch.tensor([[1e6, -1e30, 2.0], [65504.0, float("inf"), float("-inf")]])
    writer = BankWriter(tmp_path / "bank", {"s": 3}, precision)
    writer.add("a", {"s": Rows(torch.tensor([0, 3]), torch.tensor([0.0, 0.5]), f, (2, 2))})
    writer.close()
    seal(tmp_path / "bank")
    expected = torch.tensor([[65504, -65504, 2.0], [65504, 65504, -65504]])
    found = Bank(tmp_path / "bank").read("a")["s"].f
    torch.testing.assert_close(found, expected, rtol=0, atol=0 if precision == "half" else 257)


def test_rows_that_would_spoil_the_bank_are_refused(tmp_path):
    writer = BankWriter(tmp_path / "bank", {"s": 2})
    cells, n = torch.tensor([0]), torch.tensor([0.5])
    with pytest.raises(ValueError, match="has 2 channels, the rows have 3"):
        writer.add("a", {"s": Rows(cells, n, torch.zeros(1, 3), (2, 2))})
    with pytest.raises(ValueError, match="NaN"):
        writer.add("a", {"s": Rows(cells, n, torch.tensor([[0.0, float("nan")]]), (2, 2))})


def test_an_unfinished_bank_is_not_readable(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        Bank(tmp_path / "none")
    writer = BankWriter(folder, CHANNELS)  # over a finished one
    writer.add("a", WRITTEN["a"])
    with pytest.raises(FileNotFoundError):
        Bank(folder)
    writer.close()
    with pytest.raises(FileNotFoundError):
        Bank(folder)
    seal(folder)
    assert_rows(Bank(folder).read("a")["early"], WRITTEN["a"]["early"])
    assert "d" not in Bank(folder)


def test_shards_of_several_processes_make_one_bank(tmp_path, precision):
    names = list(WRITTEN)
    for shard in (1, 0):
        write(tmp_path, {name: WRITTEN[name] for name in names[shard::2]}, precision, shard)
    bank = Bank(tmp_path)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "0.json",
        "0.rows",
        "1.json",
        "1.rows",
        "index.json",
    ]
    for image_id, stages in WRITTEN.items():
        assert image_id in bank
        for stage, rows in bank.read(image_id).items():
            assert_rows(rows, stages[stage])
    write(tmp_path / "one", precision=precision)
    assert bank.fused_share(4) == pytest.approx(Bank(tmp_path / "one").fused_share(4))
    clear(tmp_path)
    seal(tmp_path)
    with pytest.raises(FileNotFoundError):
        Bank(tmp_path)


def test_the_same_rows_give_the_same_files(folder, tmp_path, precision):
    write(tmp_path / "again", precision=precision)
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert Bank(folder).channels == CHANNELS


def test_fused_share_by_hand(folder):
    share = Bank(folder).fused_share(8)  # four images of the training set are not in the bank
    assert share["early"] == pytest.approx((20 / 80 + 3 / 80 + 80 / 80) / 8)
    assert share["late"] == pytest.approx((7 / 20 + 20 / 20) / 8)
    assert Bank(folder).read("a")["early"].share == 0.25
