"""The bank: selected features on disk, keyed by image; memory stays bounded.

A folder holds one or more shards, each a file `<k>.rows` with one record an image, appended while writing and
read alone, and `<k>.json` that says where each record lies. `index.json` comes last and makes the bank whole.
A record holds, stage by stage, only the cells where n < 1: `cells` (int32), for int8 rows their `low` and
`step` (float32), `n` (float16), and `f`, one row of C_l values a cell (uint8 or float16); in an online bank
the one value is the number of the slice that won (int16).
"""

import os
import shutil
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, TypedDict

import torch
from torch import Tensor

from rws.errors import DamagedFile
from rws.runs.checkpoint import read_json, write_json

Precision = Literal["int8", "half", "winner"]
_FEATURE = {"int8": torch.uint8, "half": torch.float16, "winner": torch.int16}
_HALF_MAX = torch.finfo(torch.float16).max


@dataclass(frozen=True)
class Rows:
    """The fused cells of one image at one stage.

    cells: (P,) integer flat indices on `grid` = (H_l, W_l); n: (P,); f: (P, C_l).
    """

    cells: Tensor
    n: Tensor
    f: Tensor
    grid: tuple[int, int]

    @property
    def share(self) -> float:
        """Share of the stage's cells that are fused."""
        return len(self.cells) / (self.grid[0] * self.grid[1])


def no_rows(channels: int, grid: tuple[int, int]) -> Rows:
    """Rows of a stage into which nothing is blended."""
    return Rows(torch.zeros(0, dtype=torch.int64), torch.zeros(0), torch.zeros(0, channels), grid)


@dataclass(frozen=True)
class _Part:
    """Where the rows of one stage lie in an image's record."""

    start: int
    count: int
    channels: int
    grid: tuple[int, int]

    def columns(self, precision: Precision) -> list[tuple[str, torch.dtype, int]]:
        """Name, type and number of values of what is stored one after the other."""
        scale = [("low", torch.float32, self.count), ("step", torch.float32, self.count)]
        return [
            ("cells", torch.int32, self.count),
            *(scale if precision == "int8" else []),
            ("n", torch.float16, self.count),
            ("f", _FEATURE[precision], self.count * self.channels),
        ]

    def size(self, precision: Precision) -> int:
        """Bytes, up to the next multiple of 4, on which the next stage's int32 can lie."""
        return -(-sum(dtype.itemsize * many for _, dtype, many in self.columns(precision)) // 4) * 4


@dataclass(frozen=True, eq=False)
class PackedRows(Mapping[str, Rows]):
    """The rows of one image as one block of bytes, which travels between processes and devices in one piece.

    A mapping from stage to Rows: cells (P,) int64, n (P,) and f (P, C_l) float32; a stage without is absent.
    """

    block: Tensor
    parts: dict[str, _Part]
    precision: Precision

    def to(self, device: torch.device) -> "PackedRows":
        """The same rows on a device; the copy runs beside the host where the block is pinned."""
        return replace(self, block=self.block.to(device, non_blocking=True))

    def pin_memory(self) -> "PackedRows":
        """The same rows in page-locked memory."""
        return replace(self, block=self.block.pin_memory())

    def __iter__(self) -> Iterator[str]:
        return (stage for stage, part in self.parts.items() if part.count)

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getitem__(self, stage: str) -> Rows:
        part = self.parts[stage]
        if not part.count:
            raise KeyError(stage)
        column, start = {}, part.start
        for name, dtype, many in part.columns(self.precision):
            column[name] = self.block[start : start + dtype.itemsize * many].view(dtype)
            start += dtype.itemsize * many
        f = column["f"].view(part.count, part.channels).float()
        if self.precision == "int8":
            f = torch.addcmul(column["low"][:, None], column["step"][:, None], f)
        return Rows(column["cells"].long(), column["n"].float(), f, part.grid)


def _bytes(values: Tensor, dtype: torch.dtype) -> bytes:
    return values.to(dtype).cpu().contiguous().numpy().tobytes()


def _stored(rows: Rows, precision: Precision) -> dict[str, Tensor]:
    """The columns of some rows; int8: 256 even steps from the smallest value of a row to its largest."""
    f = rows.f.float().clamp(-_HALF_MAX, _HALF_MAX)
    columns = {"cells": rows.cells, "n": rows.n, "f": f}
    if precision != "int8" or not len(f):
        return columns | {"low": f[:, 0], "step": f[:, 0]}
    low = f.amin(1)
    step = (f.amax(1) - low) / 255
    levels = ((f - low[:, None]) / step.clamp_min(torch.finfo(f.dtype).tiny)[:, None]).round().clamp_max(255)
    return columns | {"f": levels, "low": low, "step": step}


class _Index(TypedDict):
    """index.json."""

    shards: list[int]


class _Shard(TypedDict):
    """<k>.json; of each image where its record begins, (cells, H_l, W_l) by stage, and a checksum."""

    channels: dict[str, int]
    precision: Precision
    images: dict[str, tuple[int, list[tuple[int, int, int]], int]]


class BankWriter:
    """Writes one shard of a bank image by image; nothing counts until `close`, and `seal` after all shards.

    Shards may be written by several processes at once, each with a number of its own.
    """

    def __init__(
        self, folder: Path, channels: dict[str, int], precision: Precision = "int8", *, shard: int = 0
    ):
        self.folder, self.channels, self.precision, self.shard = Path(folder), channels, precision, shard
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "index.json").unlink(missing_ok=True)
        self._file = open(self.folder / f"{shard}.rows", "wb")  # noqa: SIM115 (closed in close)
        self._images: dict[str, tuple[int, list, int]] = {}
        self._end = 0

    def add(self, image_id: str, stages: dict[str, Rows]) -> None:
        """Append the rows of an image; features beyond half precision are clamped to its range.

        Raises: ValueError for another number of channels than the stage's, or a feature that is NaN.
        """
        start, counts, checksum = self._end, [], 0
        for stage, channels in self.channels.items():
            rows = stages[stage]
            if rows.f.shape[1] != channels:
                raise ValueError(f"{stage} has {channels} channels, the rows have {rows.f.shape[1]}")
            if rows.f.isnan().any():
                raise ValueError(f"{image_id}: a feature of {stage} is NaN")
            part = _Part(0, len(rows.cells), channels, rows.grid)
            values = _stored(rows, self.precision)
            block = b"".join(_bytes(values[name], dtype) for name, dtype, _ in part.columns(self.precision))
            block = block.ljust(part.size(self.precision), b"\0")
            self._file.write(block)
            checksum = zlib.crc32(block, checksum)
            self._end += part.size(self.precision)
            counts.append([part.count, *rows.grid])
        self._images[image_id] = (start, counts, checksum)

    def close(self) -> None:
        """Bring the records to the disk and write where they lie."""
        self._file.flush()
        os.fsync(self._file.fileno())
        self._file.close()
        content = {"channels": self.channels, "precision": self.precision, "images": self._images}
        write_json(self.folder / f"{self.shard}.json", content, indent=None, every_process=True)


def clear(folder: Path) -> None:
    """Remove a bank, whole or not."""
    shutil.rmtree(folder, ignore_errors=True)


def seal(folder: Path) -> None:
    """Make the shards in a folder a bank; without any shard there is none."""
    shards = sorted(int(path.stem) for path in Path(folder).glob("*.json") if path.stem.isdigit())
    if shards:
        write_json(Path(folder) / "index.json", {"shards": shards})


def is_sealed(folder: Path) -> bool:
    """Whether a folder holds a finished bank."""
    return (Path(folder) / "index.json").is_file()


class Bank:
    """Reads a bank; each read touches only the record asked for, and nothing of it stays in memory.

    Raises: FileNotFoundError when the folder holds no sealed bank, DamagedFile.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        if not is_sealed(self.folder):
            raise FileNotFoundError(f"{self.folder}: no bank, or one that was not finished")
        self._images: dict[str, tuple[int, int, list, int]] = {}
        for shard in read_json(self.folder / "index.json", _Index)["shards"]:
            stored = read_json(self.folder / f"{shard}.json", _Shard)
            self.channels: dict[str, int] = stored["channels"]
            self.precision: Precision = stored["precision"]
            for image_id, (start, counts, checksum) in stored["images"].items():
                self._images[image_id] = (shard, start, counts, checksum)

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.channels)

    def read(self, image_id: str) -> PackedRows:
        """The rows of one image by stage; empty when no slice of it was advantaged anywhere.

        Raises: DamagedFile for rows that are not as they were written.
        """
        shard, start, counts, checksum = self._images.get(image_id, (0, 0, [], 0))
        parts, size = {}, 0
        for (stage, channels), (count, *grid) in zip(self.channels.items(), counts):
            parts[stage] = _Part(size, count, channels, tuple(grid))
            size += parts[stage].size(self.precision)
        block = torch.empty(size, dtype=torch.uint8)
        if size:
            self._fill(block, shard, start, checksum)
        return PackedRows(block, parts, self.precision)

    def verify(self) -> None:
        """Read every record.

        Raises: DamagedFile.
        """
        for image_id in self._images:
            self.read(image_id)

    def _fill(self, block: Tensor, shard: int, start: int, checksum: int) -> None:
        path = self.folder / f"{shard}.rows"
        # Opened anew each time: a file shared with forked workers would share its position, too.
        with open(path, "rb", buffering=0) as file:
            file.seek(start)
            read = file.readinto(block.numpy())
        if read < len(block) or zlib.crc32(block.numpy()) != checksum:
            raise DamagedFile(f"{path}: damaged; --resume makes it anew")

    def fused_share(self, images: int) -> dict[str, float]:
        """Share of fused cells for each stage, a mean over `images` images; those not in the bank count 0."""
        totals = dict.fromkeys(self.channels, 0.0)
        for _, _, counts, _ in self._images.values():
            for stage, (count, height, width) in zip(self.channels, counts):
                totals[stage] += count / (height * width)
        return {stage: total / images for stage, total in totals.items()}
