"""The bank: selected features on disk, keyed by image and stage; memory stays bounded.

A folder holds for every stage three flat files - `cells` (int32), `n` (float16), `f` (float16, one row of
C_l values a cell) - with only the cells where n < 1, and `index.json` with each image's rows. Files are
appended to while writing and memory-mapped while reading.
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from rws.checkpoint import write_json

_KINDS = {"cells": np.int32, "n": np.float16, "f": np.float16}
_HALF_MAX = float(np.finfo(np.float16).max)


@dataclass(frozen=True)
class Rows:
    """The fused cells of one image at one stage.

    cells: (P,) int64 flat indices on `grid` = (H_l, W_l); n: (P,) float16; f: (P, C_l) float16.
    """

    cells: Tensor
    n: Tensor
    f: Tensor
    grid: tuple[int, int]

    @property
    def share(self) -> float:
        """Share of the stage's cells that are fused."""
        return len(self.cells) / (self.grid[0] * self.grid[1])


class BankWriter:
    """Writes a bank image by image; nothing counts until `close` has written the index."""

    def __init__(self, folder: Path, channels: dict[str, int]):
        self.folder, self.channels = Path(folder), channels
        shutil.rmtree(self.folder, ignore_errors=True)
        self.folder.mkdir(parents=True)
        self._files = {
            (stage, kind): open(self.folder / f"{number}.{kind}", "wb")  # noqa: SIM115 (closed in close)
            for number, stage in enumerate(channels)
            for kind in _KINDS
        }
        self._next = dict.fromkeys(channels, 0)
        self._images: dict[str, dict] = {}

    def add(self, image_id: str, stage: str, rows: Rows) -> None:
        """Append the rows of an image at a stage; features beyond half precision are clamped to its range.

        Raises: ValueError for another number of channels than the stage's, or a feature that is NaN.
        """
        if rows.f.shape[1] != self.channels[stage]:
            raise ValueError(f"{stage} has {self.channels[stage]} channels, the rows have {rows.f.shape[1]}")
        if rows.f.isnan().any():
            raise ValueError(f"{image_id}: a feature of {stage} is NaN")
        f = rows.f.float().clamp(-_HALF_MAX, _HALF_MAX)
        for kind, values in (("cells", rows.cells), ("n", rows.n), ("f", f)):
            self._files[stage, kind].write(np.ascontiguousarray(values.cpu().numpy(), _KINDS[kind]).tobytes())
        entry = {"start": self._next[stage], "count": len(rows.cells), "grid": list(rows.grid)}
        self._images.setdefault(image_id, {})[stage] = entry
        self._next[stage] += len(rows.cells)

    def close(self) -> None:
        """Flush the files and write the index."""
        for file in self._files.values():
            file.close()
        write_json(self.folder / "index.json", {"channels": self.channels, "images": self._images})


class Bank:
    """Reads a bank; each read touches only the rows asked for.

    Raises: FileNotFoundError when the folder holds no finished bank.
    """

    def __init__(self, folder: Path):
        self.folder = Path(folder)
        index = json.loads((self.folder / "index.json").read_text())
        self.channels: dict[str, int] = index["channels"]
        self._images: dict[str, dict] = index["images"]
        self._maps: dict[tuple[str, str], np.ndarray] = {}

    def __contains__(self, image_id: str) -> bool:
        return image_id in self._images

    def __getstate__(self) -> dict:
        # Loader workers open the files anew; a pickled memory map would become a copy of the file.
        return {**self.__dict__, "_maps": {}}

    @property
    def stages(self) -> tuple[str, ...]:
        return tuple(self.channels)

    def read(self, image_id: str) -> dict[str, Rows]:
        """The rows of one image by stage; empty when no slice of it was advantaged anywhere."""
        entries = self._images.get(image_id, {})
        return {stage: self._rows(stage, entry) for stage, entry in entries.items() if entry["count"]}

    def _rows(self, stage: str, entry: dict) -> Rows:
        part = slice(entry["start"], entry["start"] + entry["count"])
        # Copied out of the map: torch must not see read-only memory, and workers send what they own.
        values = {kind: torch.from_numpy(self._map(stage, kind)[part].copy()) for kind in _KINDS}
        return Rows(values["cells"].long(), values["n"], values["f"], tuple(entry["grid"]))

    def _map(self, stage: str, kind: str) -> np.ndarray:
        if (stage, kind) not in self._maps:
            path = self.folder / f"{list(self.channels).index(stage)}.{kind}"
            flat = np.memmap(path, _KINDS[kind], "r")
            self._maps[stage, kind] = flat.reshape(-1, self.channels[stage]) if kind == "f" else flat
        return self._maps[stage, kind]

    def fused_share(self, images: int) -> dict[str, float]:
        """Share of fused cells for each stage, a mean over `images` images; those not in the bank count 0."""
        totals = dict.fromkeys(self.channels, 0.0)
        for entries in self._images.values():
            for stage, entry in entries.items():
                totals[stage] += entry["count"] / (entry["grid"][0] * entry["grid"][1])
        return {stage: total / images for stage, total in totals.items()}
