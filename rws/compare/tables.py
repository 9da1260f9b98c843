"""results.json as table.md."""

from itertools import dropwhile


def _number(value: float | None, form: str = ".2f") -> str:
    return "-" if value is None else format(value, form)


def mean_and_deviation(each: dict) -> str:
    """A `spread` in a cell."""
    return _number(each["mean"]) + ("" if each["std"] is None else f" ± {each['std']:.2f}")


def interval(each: dict) -> str:
    """A `difference` in a cell."""
    mean = format(each["mean"], "+.2f")
    return mean if each["low"] is None else f"{mean} [{each['low']:+.2f}, {each['high']:+.2f}]"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Rows of cells in Markdown."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _scores(found: dict) -> str:
    """mIoU of every arm and what it differs from."""
    others = list(found["differences"])
    head = ["arm", "mIoU", *(f"against {to}" for to in others), "images"]
    budget = found["budget"][str(found["seeds"][0])]
    rows = []
    for arm, each in found["arms"].items():
        against = [found["differences"][to].get(arm) for to in others]
        cells = ["-" if d is None else interval(d["miou"]) for d in against]
        rows.append([arm, mean_and_deviation(each["miou"]), *cells, f"{budget[arm]:,}"])
    return table(head, rows)


def _groups(found: dict) -> str:
    """mIoU by size and place, and the difference to plain."""
    names = list(dict.fromkeys(g for each in found["arms"].values() for g in each["groups"]))
    against = found["differences"].get("plain", {})
    rows = []
    for arm, each in found["arms"].items():
        cells = [mean_and_deviation(each["groups"][g]) if g in each["groups"] else "-" for g in names]
        rows.append([arm, *cells])
        if arm in against:
            cells = [interval(d) if (d := against[arm]["groups"].get(g)) else "-" for g in names]
            rows.append([f"{arm} - plain", *cells])
    return table(["arm", *names], rows)


def _classes(found: dict) -> str:
    """Mean IoU difference to plain for each class."""
    plain, against = found["arms"]["plain"], found["differences"]["plain"]
    rows = []
    for name in found["classes"]:
        known = [v for v in plain["iou"][name] if v is not None]
        mean = sum(known) / len(known) if known else None
        rows.append([name, _number(mean), *(_number(d["iou"].get(name), "+.2f") for d in against.values())])
    return table(["class", "plain IoU", *(f"{arm} - plain" for arm in against)], rows)


def _course(found: dict) -> str:
    """Validation mIoU of plain, and the differences to it, over the images seen."""
    arms = [arm for arm in found["arms"] if arm != "plain"]
    rows = []
    for point in found["course"]:
        plain = point["plain"]
        cells = [sum(a - b for a, b in zip(point[arm], plain)) / len(plain) for arm in arms]
        epochs = f"{point['images'] / found['epoch_images']:.1f}"
        mean = _number(sum(plain) / len(plain))
        rows.append([epochs, f"{point['images']:,}", mean, *(format(cell, "+.2f") for cell in cells)])
    return table(["epochs", "images", "plain", *(f"{arm} - plain" for arm in arms)], rows)


def _cost(found: dict) -> str:
    """Wall clock of an arm by itself, a mean over seeds."""
    rows = []
    for arm, each in found["seconds"].items():
        beyond = sum(each.values()) - each["whole"] - each["slices"]
        numbers = [each["whole"], each["slices"], each["score"], each["select"], sum(each.values()), beyond]
        rows.append([arm, *(f"{value:,.0f}" for value in numbers)])
    return table(
        ["arm", "train", "slices", "look", "select", "all", "beyond training"],
        rows,
    )


def machine_line(environment: dict, module: str) -> str:
    """The command that gave a record, and where and with what it ran."""
    keys = ("commit", "torch", "torchvision", "python", "processor", "cores", "threads", "device")
    flags = dropwhile(lambda word: not word.startswith("-"), environment["command"][1:])  # `compare` of `rws`
    command = " ".join([f"python -m {module}", *flags])
    return f"`{command}`; {', '.join(f'{key} {environment.get(key)}' for key in keys)}."


def _machine(found: dict) -> str:
    """Where and with what it ran; several lines for a record that was made in parts."""
    runs = (environment for seed in found["environment"].values() for environment in seed.values())
    lines = [machine_line(environment, "rws.compare") for environment in runs]
    return "\n\n".join(dict.fromkeys(lines))  # in order, each once


def _said(found: dict) -> str:
    """What the scores are, in one paragraph."""
    equal = "as many images forward and backward in all arms, slices included"
    return (
        f"{found['images_in_list']} images of the list `{found['list']}`, evaluated once, from the last "
        f"weights; {len(found['classes'])} classes; seeds {', '.join(map(str, found['seeds']))}; "
        f"{equal if found['equal_budget'] else '**unequal budgets**'}. mIoU in percent, ± standard deviation "
        "over seeds; differences are paired by seed, in brackets their 95 % interval (Student's t)."
    )


def _said_of_groups(groups: dict) -> str:
    return (
        "Mean over the classes labelled in a group of pixels. Sizes are areas of the connected region of one "
        f"label: small below {groups['small_below']:.0%} of the image, large above "
        f"{groups['large_above']:.0%}; boundary is within {groups['boundary_pixels']} pixels of another "
        "label."
    )


def render(found: dict) -> str:
    """The whole table.md."""
    parts = [
        f"# {found['name']}",
        _said(found),
        _scores(found),
        "## By size and place",
        _said_of_groups(found["groups"]),
        _groups(found),
    ]
    if "plain" in found["arms"]:
        parts += ["## By class", _classes(found)]
        parts += ["## Course", "mIoU on the validation list, means over seeds.", _course(found)]
    parts += [
        "## Cost",
        "Seconds of an arm run by itself, means over seeds; steps that arms share are counted in each.",
        _cost(found),
        _machine(found),
    ]
    return "\n\n".join(parts) + "\n"
