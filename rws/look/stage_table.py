"""The stages of a network as a table: `rws stages --model.name X`."""

from dataclasses import replace

import torch
from torch import nn

from rws.config import Config
from rws.core.auto_stages import Candidate, stage_candidates
from rws.core.stages import stage_infos
from rws.method.stages import check_stages, stages_of
from rws.runs.network import make_network

NUM_CLASSES = 7  # of the network that is looked at; no stage depends on it
SIZE = (192, 320)  # of the image that it sees; some networks pool what a smaller one would not have


def _rows(network: nn.Module, stages: tuple[str, ...]) -> list[Candidate]:
    """The stages, and the candidates beside them; those that are no stages are not chosen."""
    try:
        found = {c.name: replace(c, chosen=c.name in stages) for c in stage_candidates(network)}
    except (ValueError, TypeError, RuntimeError):  # the stages are named, so nothing needs to be found
        found = {}
    for info in stage_infos(network, stages, SIZE):
        found.setdefault(info.name, Candidate(info.name, info.channels, info.stride, None, True))
    order = {name: place for place, (name, _) in enumerate(network.named_modules())}
    return sorted(found.values(), key=lambda c: (c.stride, order[c.name]))


def stage_table(config: Config) -> str:
    """Name, channels, stride and dilation of the modules that could be stages; `*` marks those that are.

    Raises: UserError for an unknown network, or one without stages.
    """
    model = replace(config.model, weights="none")
    network, _ = make_network(replace(config, model=model), NUM_CLASSES, torch.device("cpu"))
    stages = stages_of(model, network)
    check_stages(network, stages, SIZE)
    rows = [("stage", "module", "channels", "stride", "dilation")]
    for c in _rows(network, stages):
        rows.append(("*" if c.chosen else "", c.name, str(c.channels), str(c.stride), str(c.dilation or "-")))
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]
    names = ", ".join(stages)
    return "\n".join([f"{config.model.name}", *lines, f"as an option: --model.stages '[{names}]'"])
