"""The control of eq. 10: as many random windows and as many random cells, with the same shares n.

What this leaves of the fusion is zoomed features somewhere; what eq. 10 adds is the difference to it.
"""

from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from rws.config import SliceConfig
from rws.core.advantage import grid_pixels, slice_features
from rws.core.stages import stage_features
from rws.data.boxes import Box
from rws.data.sliced_images import SlicedImage
from rws.data.split import Split
from rws.method.bank import Bank, BankWriter, Rows, no_rows, seal
from rws.method.cams import CamNetwork
from rws.method.score import windows_of
from rws.runtime.bars import tracked
from rws.runtime.device import to_network
from rws.runtime.distributed import barrier, is_first, rank
from rws.runtime.seeding import derive_seed


def first_cover(boxes_yxhw: Tensor, size: tuple[int, int], grid: tuple[int, int]) -> Tensor:
    """For each cell of a grid the first box that holds the pixel under its centre, -1 where none does.

    Shape: boxes (K, 4) in pixels of an image of `size` = (H, W) -> (H_l, W_l) int64.
    """
    cover = torch.full(grid, -1)
    rows, cols = (grid_pixels(length, cells) for length, cells in zip(size, grid))
    for k, (y, x, h, w) in reversed(list(enumerate(boxes_yxhw.tolist()))):
        inside = ((rows >= y) & (rows < y + h))[:, None] & ((cols >= x) & (cols < x + w))
        cover[inside] = k
    return cover


def random_boxes(
    advantaged: Mapping[str, Rows], many: int, size: tuple[int, int], config: SliceConfig, seed: int
) -> list[Box]:
    """`many` different windows of an image, or a few more where these hold too few cells of some stage."""
    windows = windows_of(config, *size)
    generator = torch.Generator().manual_seed(seed)
    windows = windows[torch.randperm(len(windows), generator=generator)]

    def suffice(count: int) -> bool:
        held = (int((first_cover(windows[:count], size, r.grid) >= 0).sum()) for r in advantaged.values())
        return all(cells >= len(rows.cells) for cells, rows in zip(held, advantaged.values()))

    while many < len(windows) and not suffice(many):
        many += 1
    return [tuple(box) for box in windows[:many].tolist()]


def draw_boxes(
    advantaged: Bank, weak: dict[str, list[Box]], split: Split, config: SliceConfig, seed: int
) -> dict[str, list[Box]]:
    """`random_boxes` for every image that has weak slices, as many as it has."""
    return {
        image_id: random_boxes(
            advantaged.read(image_id), len(boxes), split.size(image_id), config, derive_seed(seed, image_id)
        )
        for image_id, boxes in weak.items()
        if boxes
    }


def shuffled(rows: Rows, cover: Tensor, seed: int) -> tuple[Tensor, Tensor]:
    """As many random cells among the covered ones, in rising order, and the n of `rows` dealt out anew.

    Shape: cover (H_l, W_l) as `first_cover` gives it -> (P,) int64, (P,).
    """
    generator = torch.Generator().manual_seed(seed)
    held = torch.nonzero(cover.flatten() >= 0).flatten()
    cells = held[torch.randperm(len(held), generator=generator)[: len(rows.cells)]].sort().values
    return cells, rows.n[torch.randperm(len(rows.n), generator=generator)]


def slice_stages(sliced: CamNetwork, slices: Tensor, batch_size: int) -> dict[str, Tensor]:
    """Features of each stage for all slices of an image.

    Shape: (K, 3, h, w) -> (K, C_l, h_l, w_l) on the CPU.
    """
    parts: list[dict[str, Tensor]] = []
    for start in range(0, len(slices), batch_size):
        some = to_network(slices[start : start + batch_size], sliced.network)
        found = stage_features(sliced.network, sliced.stages, some)
        parts.append({name: f.cpu() for name, f in found.items()})
    return {name: torch.cat([part[name] for part in parts]) for name in sliced.stage_names}


def random_rows(item: SlicedImage, advantaged: Mapping[str, Rows], features: dict, seed: int) -> dict:
    """The rows of one image at random positions, by stage; `features` as `slice_stages` gives them."""
    size, found = tuple(item.label.shape[-2:]), {}
    for stage, rows in advantaged.items():
        cover = first_cover(item.boxes_yxhw, size, rows.grid)
        cells, n = shuffled(rows, cover, derive_seed(seed, item.image_id, stage))
        winner = torch.full_like(cover, -1).flatten()
        winner[cells] = cover.flatten()[cells]
        f = slice_features(features[stage], item.boxes_yxhw, winner.reshape(cover.shape), size)
        found[stage] = Rows(cells, n, f, rows.grid)
    return found


def select_random(
    sliced: CamNetwork,
    advantaged: Bank,
    images: Iterable[SlicedImage],
    folder: Path,
    batch_size: int,
    seed: int,
    title: str = "select",
) -> None:
    """Write a bank as large as `advantaged`, image by image and stage by stage, at random positions.

    Of several processes each is given images of its own, and writes a shard of the bank.
    """
    writer = BankWriter(folder, advantaged.channels, advantaged.precision, shard=rank())
    for item in tracked(images, desc=title, unit="image", leave=False, disable=not is_first()):
        features = slice_stages(sliced, item.slices, batch_size)
        packed = advantaged.read(item.image_id)
        empty = {stage: no_rows(part.channels, part.grid) for stage, part in packed.parts.items()}
        writer.add(item.image_id, empty | random_rows(item, packed, features, seed))
    writer.close()
    barrier()
    if is_first():
        seal(folder)
    barrier()
