"""Print what people wait for, from records of the benchmarks: python -m tools.waits_table"""

import json
from dataclasses import dataclass
from pathlib import Path

from tools.benchmark_table import amount

RECORDS = Path(__file__).parents[1] / "benchmarks" / "results"
FIRST, LAST = "amd-epyc-2-cores-2026-11-23", "amd-epyc-2-cores-2026-11-29"
OTHER = "intel-r-xeon-r-processor-2-cores-2026-11-29"


@dataclass(frozen=True)
class Wait:
    """A row of a benchmark in words: what is done, what stands beside it, and the record that has it."""

    benchmark: str
    what: str
    beside: str
    record: str = LAST


WAITS = (
    Wait(
        "predict-one",
        "`rws predict` of one photograph, light network, imports included, seconds of the processor",
        "`import torch, torchvision`",
    ),
    Wait(
        "ways-rws-light",
        "`--ways rws`: three passes over each of 12 photographs, light network",
        "three plain predictions of each",
    ),
    Wait("film", "24 frames of a film, two light networks, `--backend openvino`", "the same with torch"),
    Wait("predict-backend-resnet50-openvino-bf16", "16 photographs, ResNet-50, `openvino-bf16`", "torch"),
    Wait("cam-8", "heat maps of four stages, ResNet-50, 8 images", "pytorch-grad-cam", FIRST),
    Wait("train-light", "30 training steps of a light network", "torchvision's reference loop", OTHER),
)


def line(wait: Wait) -> str:
    """A row of the table: both medians, and how many times as fast ours is."""
    rows = json.loads((RECORDS / f"{wait.record}.json").read_text())["rows"]
    row = next(row for row in rows if row["name"] == wait.benchmark)
    ours, peer = (amount(row[side], row["unit"]) for side in ("ours", "peer"))
    return f"| {wait.what} | {ours} | {peer}: {wait.beside} | {row['peer'] / row['ours']:.2f}x |"


if __name__ == "__main__":
    head = "| what you wait for | RWS | beside it | as fast |\n| --- | --- | --- | --- |"
    print("\n".join([head, *map(line, WAITS)]))
