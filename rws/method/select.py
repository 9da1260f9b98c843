"""Step 4, select, over a training set: the slices compete, and the winners' features go into the bank."""

from collections.abc import Iterable
from pathlib import Path

import torch
from torch import Tensor

from rws.core.advantage import BestSlices
from rws.core.slices import parts_of
from rws.data.sliced_images import SlicedImage
from rws.method.bank import BankWriter, Precision, Rows, clear, seal
from rws.method.cams import CamNetwork
from rws.runtime.bars import tracked
from rws.runtime.distributed import barrier, is_first, rank


def select_features(
    whole: CamNetwork,
    sliced: CamNetwork,
    images: Iterable[SlicedImage],
    folder: Path,
    batch_size: int,
    precision: Precision = "int8",
    title: str = "select",
) -> None:
    """Let the slices of each image compete and write what fusion uses into a bank (METHOD step 4).

    Of several processes each is given images of its own, and writes a shard of the bank.
    """
    if is_first():
        clear(folder)
    barrier()
    writer: BankWriter | None = None
    for item in tracked(images, desc=title, unit="image", leave=False, disable=not is_first()):
        mapped = whole.maps(item.image[None], _of_windows(item, whole.classes.ignore_index)[None])
        shapes = [tuple(f.shape[1:]) for f in mapped.features]
        best = BestSlices(mapped.maps[0], shapes)
        for part in parts_of(len(item.boxes_yxhw), batch_size):
            labels = item.slice_labels(part)
            found = sliced.maps(item.slices[part], labels)
            best.update(found.maps, item.boxes_yxhw[part].to(found.maps.device), found.features)
        if writer is None:
            channels = {name: shape[0] for name, shape in zip(whole.stage_names, shapes)}
            channels = dict.fromkeys(channels, 1) if precision == "winner" else channels
            writer = BankWriter(folder, channels, precision, shard=rank())
        found = {}
        for stage, name in enumerate(whole.stage_names):
            cells, n, f = best.rows(stage)
            f = best.winner[stage].flatten()[cells, None] if precision == "winner" else f
            found[name] = Rows(cells, n, f, grid=shapes[stage][1:])
        writer.add(item.image_id, found)
    if writer is not None:
        writer.close()
    barrier()
    if is_first():
        seal(folder)
    barrier()


def _of_windows(item: SlicedImage, ignore_index: int) -> Tensor:
    """The label of an image without the classes that none of its slices holds: their maps are never read.

    A class that is left keeps all of its pixels, for they make its score.

    Shape: (H, W).
    """
    held = torch.isin(item.label, item.slice_labels().unique())
    return item.label.masked_fill(~held, ignore_index)
