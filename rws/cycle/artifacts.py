"""What the steps of a run leave in its folder for one another: networks, slices, the bank."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from torch import nn

from rws.cycle.setup import Setup, make_network
from rws.data.boxes import Box
from rws.data.views import View
from rws.method.bank import Bank
from rws.runs import checkpoint
from rws.runs.model_file import save_trained


class Artifacts:
    """The folder of one run, by cycle."""

    def __init__(self, setup: Setup):
        self.setup, self.config, self.folder = setup, setup.config, setup.folder

    def _cycle(self, k: int) -> Path:
        return self.folder / "cycles" / str(k)

    def _network(self, k: int | None, kind: str = "whole") -> nn.Module:
        """The initial network, or the one that a step of cycle k left."""
        model, classes = self.config.model, self.setup.card.classes.num_classes
        if k is not None and k >= 0:
            model = replace(model, weights="none")
        network, _ = make_network(replace(self.config, model=model), classes, self.setup.device)
        if k is not None and k >= 0:
            network.load_state_dict(checkpoint.load(self._cycle(k) / f"{kind}.pt")["model"])
        return network

    def _bank(self, k: int) -> Bank | None:
        return Bank(self._cycle(k) / "bank") if k >= 0 and self.config.fusion.enabled else None

    def _boxes(self, k: int) -> dict[str, list[Box]]:
        return checkpoint.read_json(self._cycle(k) / "slices.json")

    def _slice_views(self, k: int) -> list[View]:
        return [View(i, box) for i, each in self._boxes(k).items() for box in each]

    def _keep_best(self, network: nn.Module, k: int) -> Callable[[dict], None]:
        """Writes best.pt when an epoch is better on val than all before; cycle 0 gives way to any other."""
        path = self.folder / "best.pt"
        kept = checkpoint.load(path) if path.is_file() else {"miou": -1.0, "cycle": k}
        best = -1.0 if kept["cycle"] == 0 < k else kept["miou"]

        def keep(record: dict) -> None:
            nonlocal best
            if record.get("miou", -1.0) > best:
                best = record["miou"]
                self._save(path, network, k, [record])

        return keep

    def _save(self, path: Path, network: nn.Module, k: int, history: list[dict]) -> None:
        facts = {"cycle": k, "epoch": history[-1]["epoch"], "miou": history[-1].get("miou", -1.0)}
        save_trained(path, network, self.setup.card, **facts)
