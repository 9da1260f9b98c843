"""The five steps of the method in one picture, from real maps of one image of the demo set."""

from dataclasses import dataclass

import numpy as np
import torch
from matplotlib import colormaps
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.figure import Figure, SubFigure
from PIL import Image
from torch import Tensor

from rws.config import SliceConfig
from rws.core.advantage import BestSlices
from rws.core.cam import StageMaps
from rws.core.fusion import Blend, identity_coordinates, sample_blend, shrink_coordinates
from rws.core.slices import weak_slices
from rws.data.sliced_images import SlicedImage
from rws.look.viz import ATTENTION_COLOURS, heat
from rws.method.cams import CamNetwork
from rws.method.score import windows_of
from tools.figures.canvas import BLUE, ORANGE, SMALL, TEXT, TITLE, canvas, frame, panel
from tools.figures.source import Source, foreground, most_fused, short

SHARE_COLOURS, SHARE_MOST = "cividis", 0.5  # eq. 10 has the slice ahead, so eq. 9 stays below a half
HEIGHT_INCHES = 9.0


@dataclass(frozen=True)
class Steps:
    """What the five steps make of one image.

    weak: boxes of its weak slices. box: the weakest of them. iou: that one's. best: the selection from it.
    """

    image: Image.Image
    item: SlicedImage
    own: StageMaps
    part: StageMaps
    where: np.ndarray
    weak: list[list[int]]
    windows: int
    box: list[int]
    iou: float
    best: BestSlices
    stages: tuple[str, ...]


def take_steps(source: Source, image_id: str | None = None) -> Steps:
    """Steps 1 to 4 for one image: with the networks that the run's first cycle trained."""
    image_id = image_id or most_fused(source)
    split = source.split("train")
    before, copy = source.network("cycles/0/whole.pt"), source.network("cycles/0/slices.pt")
    item, own = before.whole(split, image_id)
    where = foreground(item.label, before)
    windows, iou, weak = _weak(SliceConfig(**source.config["slices"]), before.scored, own)
    box = source.boxes()[image_id][0]
    part_item, part = copy.sliced(split, image_id, box)
    best = BestSlices(own.maps[0], [tuple(f.shape[1:]) for f in own.features])
    best.update(part.maps, part_item.boxes_yxhw, part.features)
    place = windows.tolist().index(list(box))
    return Steps(
        split.image(image_id),
        part_item,
        own,
        part,
        where,
        windows[weak].tolist(),
        len(windows),
        list(box),
        float(iou[place]),
        best,
        before.card.stages,
    )


def _weak(config: SliceConfig, scored: CamNetwork, own: StageMaps) -> tuple[Tensor, Tensor, Tensor]:
    """All windows, the IoU of each, and which are weak."""
    windows = windows_of(config, *own.labels.shape[1:])
    iou = scored.window_iou(own.maps[0, -1], own.labels[0], windows, config)
    return windows, iou, weak_slices(iou, config.iou_weak_max)


def flow_figure(steps: Steps) -> Figure:
    """A row a step."""
    figure = canvas(HEIGHT_INCHES)
    rows = figure.subfigures(5, 1)
    for row, draw in zip(rows, (_look, _find, _train, _select, _fuse)):
        draw(row, steps)
    return figure


def _row(part: SubFigure, number: int, name: str, text: str, columns: int = 5) -> np.ndarray:
    """The axes of a step's row under its heading."""
    part.text(
        0.024,
        0.925,
        str(number),
        color="white",
        fontsize=TITLE,
        fontweight="bold",
        va="center",
        ha="center",
        bbox={"boxstyle": "circle,pad=0.2", "facecolor": BLUE, "edgecolor": "none"},
    )
    part.text(0.05, 0.925, name, fontsize=TITLE, fontweight="bold", va="center", color=BLUE)
    part.text(0.18, 0.92, text, fontsize=TEXT, va="center")
    part.subplots_adjust(0.008, 0.0, 0.992, 0.76, wspace=0.05)
    return part.subplots(1, columns)


def _look(part: SubFigure, s: Steps) -> None:
    axes = _row(part, 1, "Look", "Where in the object does each stage look? Seg-Grad-CAM, $A_l$")
    panel(axes[0], s.image, "image")
    for ax, A, name in zip(axes[1:], s.own.maps[0], s.stages):
        title = f"$A$ of {short(name)}, mean {A.numpy()[s.where].mean():.2f}"
        panel(ax, heat(A.numpy(), s.image, where=s.where), title)


def _find(part: SubFigure, s: Steps) -> None:
    text = "Weak slices: windows in which the last map and the object have 0 < IoU < 0.95"
    axes = _row(part, 2, "Find", text)
    attended = s.own.maps[0, -1].numpy() > 0
    panel(axes[0], _two_colours(s.image, s.where, np.zeros_like(s.where)), "object (label)")
    panel(axes[1], _two_colours(s.image, s.where, attended & s.where), "attended by last stage")
    panel(axes[2], _dimmed(s.image), f"{len(s.weak)} of {s.windows} windows weak")
    for box in s.weak:
        frame(axes[2], box, ORANGE, 0.8)
    panel(axes[3], s.image, f"the weakest, IoU {s.iou:.2f}")
    frame(axes[3], s.box, ORANGE, 2.5)
    panel(axes[4], _cut(s), "enlarged")
    _outline(axes[4])


def _two_colours(image: Image.Image, where: np.ndarray, attended: np.ndarray) -> np.ndarray:
    """The object in orange, what is attended of it in blue, the rest grey."""
    grey = np.repeat(np.asarray(image.convert("L"))[..., None], 3, 2) // 2 + 90
    grey[where] = (230, 159, 0)
    grey[attended] = (0, 114, 178)
    return grey


def _dimmed(image: Image.Image) -> Image.Image:
    return Image.blend(image, Image.new("RGB", image.size, "white"), 0.5)


def _cut(s: Steps) -> Image.Image:
    y, x, h, w = s.box
    return s.image.crop((x, y, x + w, y + h)).resize(s.image.size, Image.Resampling.BILINEAR)


def _outline(axes: Axes) -> None:
    for spine in axes.spines.values():
        spine.set(edgecolor=ORANGE, linewidth=2.5)


def _train(part: SubFigure, s: Steps) -> None:
    axes = _row(
        part, 3, "Train", "A copy of the network learns from the enlarged slices: its maps $a_l$ of this one"
    )
    y, x, h, w = s.box
    where = s.where[y : y + h, x : x + w]
    big = np.asarray(Image.fromarray(where).resize(s.image.size, Image.Resampling.NEAREST))
    panel(axes[0], _cut(s), "the slice")
    for ax, a, name in zip(axes[1:], s.part.maps[0], s.stages):
        picture = Image.fromarray(a.numpy()).resize(s.image.size, Image.Resampling.BILINEAR)
        panel(
            ax,
            heat(np.asarray(picture), _cut(s), where=big),
            f"$a$ of {short(name)}, mean {a.numpy()[where].mean():.2f}",
        )
    for ax in axes:
        _outline(ax)


def _share(s: Steps, stage: int) -> np.ndarray:
    """n of a stage in colours where the slice is advantaged, grey elsewhere."""
    n = s.best.n[stage].numpy()
    painted = colormaps[SHARE_COLOURS](n / SHARE_MOST)[..., :3]
    return np.where((n < 1)[..., None], painted, 0.8)


def _select(part: SubFigure, s: Steps) -> None:
    text = (
        "Cells where the slice attends better (eq. 10); $n_l$, the share that the image keeps there (eq. 9)"
    )
    axes = _row(part, 4, "Select", text)
    _bars(part, axes[0])
    for k, (ax, name) in enumerate(zip(axes[1:], s.stages)):
        n = s.best.n[k].numpy()
        extent = (-0.5, s.where.shape[1] - 0.5, s.where.shape[0] - 0.5, -0.5)
        panel(ax, _share(s, k), f"$n$ of {short(name)}, {(n < 1).sum()} of {n.size} cells")
        ax.images[0].set_extent(extent)
        frame(ax, s.box, ORANGE, 1.5)


def _bars(part: SubFigure, axes: Axes) -> None:
    """The two colour scales, in the place of a panel."""
    axes.set_axis_off()
    scales = (
        (0.66, ATTENTION_COLOURS, 1.0, "attention $A_l$, $a_l$"),
        (0.18, SHARE_COLOURS, SHARE_MOST, "$n_l$; grey: $n_l = 1$"),
    )
    for top, colours, most, name in scales:
        bar = axes.inset_axes((0.08, top, 0.8, 0.1))
        scale = ScalarMappable(cmap=colours)
        scale.set_clim(0, most)
        part.colorbar(scale, cax=bar, orientation="horizontal", ticks=[0, most / 2, most])
        bar.tick_params(labelsize=SMALL, pad=1, length=2)
        bar.set_title(name, fontsize=SMALL, pad=3)


def blend_of(s: Steps, stage: int) -> Blend:
    """What is blended into a stage of the whole image."""
    grid = tuple(s.own.features[stage].shape[-2:])
    where = shrink_coordinates(identity_coordinates(*s.where.shape), grid)
    return sample_blend(s.best.rows(stage), grid, where)


def _fuse(part: SubFigure, s: Steps) -> None:
    text = "$F_l \\leftarrow n_l F_l + (1-n_l) f_l$ in the forward pass of a new training; then back to 1"
    axes = _row(part, 5, "Fuse", text)
    stage = max(range(len(s.stages)), key=lambda k: int((s.best.n[k] < 1).sum()))
    blend, F = blend_of(s, stage), s.own.features[stage]
    mixed = blend.n * F + blend.added
    f = torch.where(blend.n < 1, blend.added / (1 - blend.n).clamp_min(1e-6), torch.nan)
    planes = [x[0].abs().mean(0).numpy() for x in (F, f, mixed, mixed - F)]
    top = max(np.nanmax(p) for p in planes[:3])
    name = short(s.stages[stage])
    titles = (f"$F$ of {name}", "$f$, the slice's", "fused", "what changed")
    axes[0].set_axis_off()
    axes[0].text(0.5, 0.5, "mean absolute\nactivation over\nthe channels,\ndark 0, bright\nthe largest",
                 fontsize=SMALL, ha="center", va="center", transform=axes[0].transAxes)  # fmt: skip
    for ax, plane, title in zip(axes[1:], planes, titles):
        painted = np.where(
            np.isnan(plane)[..., None], 0.8, colormaps["magma"](np.nan_to_num(plane) / top)[..., :3]
        )
        panel(ax, painted, title)
        ax.images[0].set_extent((-0.5, s.where.shape[1] - 0.5, s.where.shape[0] - 0.5, -0.5))
        frame(ax, s.box, ORANGE, 1.5)
