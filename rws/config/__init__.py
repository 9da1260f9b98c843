"""The configuration of a run: typed dataclasses with their defaults (the paper's own, where it has one)."""

from collections.abc import Iterator
from dataclasses import MISSING, Field, dataclass, field, fields
from typing import Literal

from jsonargparse.typing import NonNegativeInt, PositiveInt

from rws.config.data import DataConfig, ModelConfig
from rws.config.method import BankConfig, CycleConfig, FusionConfig, ScCamConfig, SliceConfig
from rws.config.option import option
from rws.config.train import TrainConfig
from rws.errors import UserError


@dataclass
class Config:
    """A run."""

    name: str = option(
        "run",
        "Name of the run, and of its folder under `runs`.",
        step=None,
        level="basic",
        by_comparison=True,
    )
    runs: str = option("runs", "Folder of all runs.", step=None, free=True)
    seed: NonNegativeInt = option(0, "Seed of all random numbers.", level="basic", by_comparison=True)
    device: str = option(
        "auto",
        "Device to train on: auto (a GPU if there is one), cpu, cuda or cuda:N.",
        free=True,
        level="basic",
    )
    deterministic: bool = option(
        False,
        "Use deterministic kernels, which are slower on CUDA; torch warns where it has none.",
    )
    cam_vis: bool = option(
        False,
        "Write the heat maps of every stage as pictures.",
        step="score",
        free=True,
        level="basic",
    )
    cam_vis_images: PositiveInt = option(
        8, "Number of training images of which cam_vis writes pictures.", step="score", free=True
    )
    cam_method: Literal["gradcam", "gradcam++", "layercam", "xgradcam", "hirescam", "eigencam"] = option(
        "gradcam",
        "Kind of heat maps that cam_vis writes: gradcam, gradcam++, layercam, xgradcam, hirescam or "
        "eigencam; the training itself always uses gradcam.",
        step="score",
        free=True,
    )
    log: tuple[Literal["tensorboard", "csv", "wandb", "mlflow"], ...] = option(
        ("tensorboard",),
        "Where scores and sample pictures go beside the run's own log: tensorboard, csv, wandb, mlflow.",
        step=None,
        free=True,
    )
    look_again_images: NonNegativeInt = option(
        100,
        "Number of validation images, evenly spread, over which the report of a run measures looking again "
        "(--ways rws), about seven forward passes each; 0 leaves it out.",
        step=None,
        free=True,
    )
    model: ModelConfig = field(default_factory=ModelConfig)
    data: DataConfig = field(default_factory=DataConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    slices: SliceConfig = field(default_factory=SliceConfig)
    bank: BankConfig = field(default_factory=BankConfig)
    fusion: FusionConfig = field(default_factory=FusionConfig)
    cycles: CycleConfig = field(default_factory=CycleConfig)
    sc_cam: ScCamConfig = field(default_factory=ScCamConfig)

    def __post_init__(self) -> None:
        """Raises: UserError for parts that contradict each other."""
        if self.bank.online and self.fusion.positions == "random":
            raise UserError(
                "bank.online: random positions need their features in the bank; drop --bank.online, or take "
                "--fusion.positions advantaged"
            )
        if self.teaches:
            self._check_teaching()

    @property
    def teaches(self) -> bool:
        """Whether photographs without labels are trained on."""
        return self.data.unlabelled is not None and self.train.unlabelled_share > 0

    def _check_teaching(self) -> None:
        """Raises: UserError for what photographs without labels do not go with."""
        if self.fusion.enabled or self.train.slice_mix:
            key, off = ("fusion.enabled", "false") if self.fusion.enabled else ("train.slice_mix", "0")
            raise UserError(f"data.unlabelled: is trained on without slices; add --{key} {off}")
        if not self.cycles.limit:
            raise UserError(
                "data.unlabelled: photographs without labels come after the first training, and "
                "cycles.limit 0 ends there; give --cycles.limit 1"
            )


PARTS: dict[str, type] = {
    f.name: f.default_factory for f in fields(Config) if f.default_factory is not MISSING
}


def _options() -> Iterator[tuple[str, Field]]:
    for each in fields(Config):
        if each.name in PARTS:
            yield from ((f"{each.name}.{inner.name}", inner) for inner in fields(PARTS[each.name]))
        else:
            yield each.name, each


# Every option by its dotted key, such as "train.lr"; what `option` was told is its `metadata`.
OPTIONS: dict[str, Field] = dict(_options())
