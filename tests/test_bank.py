"""The bank on disk: what comes back, what is stored, what is read."""

import json
import pickle

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader, Dataset

from rws.bank import Bank, BankWriter, Rows
from rws.core.advantage import BestSlices
from rws.core.slices import window_boxes

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


@pytest.fixture
def folder(tmp_path):
    """A bank of four images; b has no rows at all and c none at the late stage."""
    writer = BankWriter(tmp_path / "bank", CHANNELS)
    for image_id, stages in WRITTEN.items():
        for stage, rows in stages.items():
            writer.add(image_id, stage, rows)
    writer.close()
    return tmp_path / "bank"


def assert_rows(found, written):
    assert torch.equal(found.cells, written.cells)
    assert found.cells.dtype == torch.int64
    assert torch.equal(found.n, written.n.half())
    assert torch.equal(found.f, written.f.half())
    assert found.grid == written.grid


def test_rows_come_back_in_half_precision(folder):
    bank = Bank(folder)
    assert bank.stages == ("early", "late")
    for image_id in ("d", "a", "c", "d"):  # not in the order of writing
        found = bank.read(image_id)
        assert set(found) == {stage for stage, rows in WRITTEN[image_id].items() if len(rows.cells)}
        for stage, rows in found.items():
            assert_rows(rows, WRITTEN[image_id][stage])


def test_an_image_without_rows_is_there_and_empty_and_another_is_not(folder):
    bank = Bank(folder)
    assert "b" in bank
    assert bank.read("b") == {}
    assert "z" not in bank
    assert bank.read("z") == {}


def test_a_bank_without_any_row_is_readable(tmp_path):
    writer = BankWriter(tmp_path / "bank", CHANNELS)
    writer.add("a", "early", some_rows("early", 0, 0))
    writer.close()
    assert Bank(tmp_path / "bank").read("a") == {}
    assert Bank(tmp_path / "bank").fused_share(1) == {"early": 0, "late": 0}


def test_fault_10_nothing_but_the_rows_takes_room(folder):
    total = {stage: sum(counts[k] for counts in COUNTS.values()) for k, stage in enumerate(CHANNELS)}
    sizes = {path.name: path.stat().st_size for path in folder.iterdir() if path.name != "index.json"}
    assert sizes == {
        f"{k}.{kind}": total[stage] * size
        for k, stage in enumerate(CHANNELS)
        for kind, size in (("cells", 4), ("n", 2), ("f", 2 * CHANNELS[stage]))
    }


def test_only_cells_with_n_below_1_are_stored(tmp_path):
    torch.manual_seed(0)
    boxes = window_boxes(20, 30)[:5]
    best = BestSlices(torch.rand(2, 20, 30), [(3, 8, 10), (5, 4, 5)])
    features = torch.randn(5, 3, 4, 4), torch.randn(5, 5, 2, 2)
    best.update(torch.rand(5, 2, 10, 15), boxes, features)
    writer = BankWriter(tmp_path / "bank", CHANNELS)
    for k, stage in enumerate(CHANNELS):
        writer.add("a", stage, Rows(*best.rows(k), grid=GRIDS[stage]))
    writer.close()
    for k, (stage, rows) in enumerate(Bank(tmp_path / "bank").read("a").items()):
        dense = torch.ones(GRIDS[stage]).flatten()
        dense[rows.cells] = rows.n.float()
        torch.testing.assert_close(dense.view(GRIDS[stage]), best.n[k], rtol=0, atol=1e-3)
        assert len(rows.cells) == (best.n[k] < 1).sum() < dense.numel()
        assert (rows.n < 1).all()


class WatchedMap(np.memmap):
    """Writes down which rows of which file are read."""

    read: list = []  # noqa: RUF012 (a list of its own for each test)

    def __getitem__(self, key):
        WatchedMap.read.append((str(self.filename)[-7:], key))
        return super().__getitem__(key)


def test_reading_an_image_touches_only_its_rows_of_memory_mapped_files(folder, monkeypatch):
    monkeypatch.setattr(np, "memmap", WatchedMap)
    monkeypatch.setattr(WatchedMap, "read", [])
    # Even the bytes of the images after it need not be there.
    for name, size in (("0.cells", 4), ("0.n", 2), ("0.f", 2 * 3)):
        path = folder / name
        path.write_bytes(path.read_bytes()[: 23 * size])
    bank = Bank(folder)
    assert WatchedMap.read == []
    assert_rows(bank.read("c")["early"], WRITTEN["c"]["early"])
    assert [key for _, key in WatchedMap.read] == [slice(20, 23)] * 3


def test_rows_are_the_readers_own(folder):
    bank = Bank(folder)
    bank.read("a")["early"].f.fill_(7)
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
    bank.read("a")  # mapped already when the workers start
    loader = DataLoader(Reading(bank), batch_size=None, num_workers=2)
    seen = dict(loader)
    assert list(seen) == list(COUNTS)
    for image_id, stages in seen.items():
        for stage, rows in stages.items():
            assert_rows(rows, WRITTEN[image_id][stage])


def test_pickling_carries_no_feature(folder):
    bank = Bank(folder)
    empty = len(pickle.dumps(bank))
    for image_id in COUNTS:
        bank.read(image_id)
    assert len(pickle.dumps(bank)) == empty
    assert_rows(pickle.loads(pickle.dumps(bank)).read("d")["late"], WRITTEN["d"]["late"])


def test_features_beyond_half_precision_are_clamped(tmp_path):
    writer = BankWriter(tmp_path / "bank", {"s": 3})
    f = torch.tensor([[1e6, -1e30, 2.0], [65504.0, float("inf"), float("-inf")]])
    writer.add("a", "s", Rows(torch.tensor([0, 3]), torch.tensor([0.0, 0.5]), f, (2, 2)))
    writer.close()
    expected = [[65504, -65504, 2], [65504, 65504, -65504]]
    assert Bank(tmp_path / "bank").read("a")["s"].f.tolist() == expected


def test_rows_that_would_spoil_the_bank_are_refused(tmp_path):
    writer = BankWriter(tmp_path / "bank", {"s": 2})
    cells, n = torch.tensor([0]), torch.tensor([0.5])
    with pytest.raises(ValueError, match="has 2 channels, the rows have 3"):
        writer.add("a", "s", Rows(cells, n, torch.zeros(1, 3), (2, 2)))
    with pytest.raises(ValueError, match="NaN"):
        writer.add("a", "s", Rows(cells, n, torch.tensor([[0.0, float("nan")]]), (2, 2)))


def test_an_unfinished_bank_is_not_readable(folder, tmp_path):
    with pytest.raises(FileNotFoundError):
        Bank(tmp_path / "none")
    writer = BankWriter(folder, CHANNELS)  # over a finished one
    writer.add("a", "early", WRITTEN["a"]["early"])
    with pytest.raises(FileNotFoundError):
        Bank(folder)
    writer.close()
    assert_rows(Bank(folder).read("a")["early"], WRITTEN["a"]["early"])
    assert "d" not in Bank(folder)


def test_the_same_rows_give_the_same_files(folder, tmp_path):
    writer = BankWriter(tmp_path / "again", CHANNELS)
    for image_id, stages in WRITTEN.items():
        for stage, rows in stages.items():
            writer.add(image_id, stage, rows)
    writer.close()
    for path in folder.iterdir():
        assert path.read_bytes() == (tmp_path / "again" / path.name).read_bytes()
    assert json.loads((folder / "index.json").read_text())["channels"] == CHANNELS


def test_fused_share_by_hand(folder):
    share = Bank(folder).fused_share(8)  # four images of the training set are not in the bank
    assert share["early"] == pytest.approx((20 / 80 + 3 / 80 + 80 / 80) / 8)
    assert share["late"] == pytest.approx((7 / 20 + 20 / 20) / 8)
    assert Bank(folder).read("a")["early"].share == 0.25
