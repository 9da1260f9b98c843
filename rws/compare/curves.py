"""curves.png: validation mIoU over the images seen, for every arm."""

from pathlib import Path

from rws.errors import safe
from rws.look.names import label, plain_text
from rws.runtime.files import written

FEW = 5  # arms whose ranges can be told apart, and whose legend leaves room for the lines


@plain_text()
def draw(found: dict, path: Path) -> None:
    """Means over seeds; with few arms and several seeds the range of the seeds, too."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import colormaps, pyplot

    few, seeds = len(found["arms"]) <= FEW, len(found["seeds"])
    figure, axes = pyplot.subplots(figsize=(7 if few else 9, 4.5), layout="constrained")
    axes.set_prop_cycle(color=colormaps["tab10" if len(found["arms"]) <= 10 else "tab20"].colors)
    images = [point["images"] for point in found["course"]]
    for arm in found["arms"]:
        each = [point[arm] for point in found["course"]]
        (line,) = axes.plot(
            images, [sum(e) / len(e) for e in each], marker="o", markersize=3, label=label(arm)
        )
        if seeds > 1 and few:
            low, high = [min(e) for e in each], [max(e) for e in each]
            axes.fill_between(images, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    axes.set_xlabel("images forward and backward")
    axes.set_ylabel("mIoU on the validation list")
    shown = "mean and range" if few else "mean"
    axes.set_title(
        f"{safe(found['name'])}: {seeds} seed{'s' * (seeds > 1)}" + (f", {shown}" if seeds > 1 else "")
    )
    axes.grid(alpha=0.3)
    axes.legend(**({} if few else {"loc": "center left", "bbox_to_anchor": (1.01, 0.5)}))
    with written(path) as file:
        figure.savefig(file, format="png", dpi=120)
    pyplot.close(figure)
