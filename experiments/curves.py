"""curves.png: validation mIoU over the images seen, for every arm."""

from pathlib import Path


def draw(found: dict, path: Path) -> None:
    """Means over seeds, with the range of the seeds where there are several."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(7, 4.5), layout="constrained")
    images = [point["images"] for point in found["course"]]
    for arm in found["arms"]:
        each = [point[arm] for point in found["course"]]
        (line,) = axes.plot(images, [sum(e) / len(e) for e in each], marker="o", markersize=3, label=arm)
        if len(found["seeds"]) > 1:
            low, high = [min(e) for e in each], [max(e) for e in each]
            axes.fill_between(images, low, high, alpha=0.15, color=line.get_color(), linewidth=0)
    axes.set_xlabel("images forward and backward")
    axes.set_ylabel("mIoU on the validation list")
    axes.set_title(f"{found['name']}: {len(found['seeds'])} seeds, mean and range")
    axes.grid(alpha=0.3)
    axes.legend()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)
