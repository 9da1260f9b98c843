"""A checkpoint that lies makes no command import, open, fetch or run anything that a person has not named."""

import random
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import pytest
import torch
import yaml
from films import tiny_checkpoint
from PIL import Image
from report_run import folder_set, run
from tiny import STAGES, TINY, NoScalars, TinyNetwork, load_script

from rws.data.classes import DEMO
from rws.errors import UserError
from rws.look import guide
from rws.models import FAMILIES, build_network
from rws.report import __main__ as html_report
from rws.runs import checkpoint, loggers
from rws.runs.card import Card
from rws.runs.model_file import load_trained

predict, train = load_script("predict"), load_script("train")

OWN = """
from pathlib import Path
Path("ran").touch()
from tiny import TinyNetwork

class make(TinyNetwork):
    stages = ("backbone.0", "backbone.1", "backbone.2")
    def __init__(self, num_classes):
        super().__init__(num_classes, aux=False)
    def forward(self, x):
        return super().forward(x)["out"]
"""
NAME = "nets_of_mine:make"


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch) -> Iterator[None]:
    """A working directory with a network in it, whose import leaves the file `ran`."""
    (tmp_path / "nets_of_mine.py").write_text(OWN)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    monkeypatch.setitem(FAMILIES, "tiny", TINY)
    monkeypatch.setattr(loggers, "SummaryWriter", NoScalars)
    yield
    sys.modules.pop("nets_of_mine", None)


def ran(folder: Path) -> bool:
    """Whether the network's code has run since this was last asked."""
    mark = folder / "ran"
    found = mark.exists()
    mark.unlink(missing_ok=True)
    sys.modules.pop("nets_of_mine", None)
    return found


def stored(network: str = "tiny", **fields: object) -> dict:
    return {**asdict(Card("tiny", True, STAGES, DEMO, 32)), "network": network, **fields}


def lying(path: Path, network: str) -> Path:
    checkpoint.save(path, {"model": TinyNetwork(6, aux=False).state_dict(), "card": stored(network)})
    return path


# The commands.


def commands(folder: Path, path: Path, sound: Path) -> dict[str, tuple]:
    """What each command is called with on a checkpoint; another one is sound."""
    Image.new("RGB", (40, 30), (200, 30, 90)).save(folder / "a.png")
    photo = ("--input", folder / "a.png", "--output", folder / "out")
    data = ("--data.name", "demo", "--data.root", folder / "demo", "--data.partial", "--data.workers", "0")
    return {
        "predict": (predict.main, "--checkpoint", path, *photo),
        "compare": (predict.main, "--compare", sound, path, *photo),
        "export": (predict.main, "--export", "torchscript", folder / "net.pt", "--checkpoint", path),
        "guide": (guide.main, "--checkpoint", path, "--device", "cpu", *data),
    }


def call(command: tuple, *more: str) -> int:
    main, *flags = command
    return main([*map(str, flags), *more])


@pytest.mark.parametrize("name", ["predict", "compare", "export", "guide"])
@pytest.mark.parametrize("network", [NAME, "os:_exit"])
def test_code_that_a_checkpoint_names_is_not_run(tmp_path, capsys, name, network):
    path, sound = lying(tmp_path / "a.pt", network), tiny_checkpoint(tmp_path / "b.pt")
    assert call(commands(tmp_path, path, sound)[name]) == 2
    assert not ran(tmp_path)
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line == (
        f"error: {path}: asks for the network {network}, code that would be run; if you know it, add "
        f"--trust-network {network}"
    )


@pytest.mark.parametrize("name", ["predict", "compare", "export"])
def test_code_that_a_person_names_is_run(tmp_path, name):
    path, sound = lying(tmp_path / "a.pt", NAME), tiny_checkpoint(tmp_path / "b.pt")
    command = commands(tmp_path, path, sound)[name]
    assert call(command, "--trust-network", "another:one") == 2
    assert not ran(tmp_path)
    assert call(command, "--trust-network", "another:one", "--trust-network", NAME) == 0
    assert ran(tmp_path)


@pytest.fixture
def own_run(tmp_path) -> Path:
    """A run of a network of one's own, which its configuration names."""
    return run(tmp_path / "run", folder_set(tmp_path / "set"), model={"name": NAME, "aux": False})


def test_a_run_whose_configuration_names_its_network_needs_no_flag(tmp_path, own_run, capsys):
    assert "no pictures" not in capsys.readouterr().out
    assert "data:image/jpeg" in (own_run / "report.html").read_text()
    assert train.main(["--config", str(tmp_path / "run/run.yaml"), "--resume"]) == 0


def test_the_files_of_a_run_name_no_code_to_its_report(tmp_path, own_run, capsys):
    configuration = str(tmp_path / "run/run.yaml")
    ran(tmp_path)
    for more, allowed in (
        ((), False),
        (("--trust-network", NAME), True),
        (("--model.name", NAME), True),
        (("--config", configuration), True),
    ):
        capsys.readouterr()
        assert html_report.main([str(own_run), *more]) == 0
        assert ran(tmp_path) == allowed, more
        assert (f"add --trust-network {NAME}" in capsys.readouterr().out) != allowed
        assert ("data:image/jpeg" in (own_run / "report.html").read_text()) == allowed


def test_the_files_of_a_run_name_no_code_to_the_guide(tmp_path, own_run, capsys):
    ran(tmp_path)
    flags = ["--checkpoint", str(own_run / "last.pt"), "--device", "cpu"]
    for more, code in (
        ((), 2),
        (("--trust-network", NAME), 0),
        (("--config", str(tmp_path / "run/run.yaml")), 0),
    ):
        assert guide.main([*flags, *more]) == code
        assert ran(tmp_path) == (code == 0)


def test_the_configuration_of_a_run_opens_no_other_and_fills_no_folder(tmp_path, own_run, capsys):
    """A person's own configuration may do both."""
    path = own_run / "config.yaml"
    tree = yaml.safe_load(path.read_text())
    tree["data"]["cache"] = str(tmp_path / "elsewhere")
    path.write_text(yaml.safe_dump(tree))
    assert html_report.main([str(own_run), "--trust-network", NAME]) == 0
    assert not (tmp_path / "elsewhere").exists()
    path.write_text(yaml.safe_dump({**tree, "base": "../../run.yaml"}))
    assert html_report.main([str(own_run)]) == 2
    assert "names a base, '../../run.yaml', as no run does" in capsys.readouterr().err


def test_the_state_of_a_run_leads_to_no_file_elsewhere(own_run, capsys):
    state = checkpoint.read_json(own_run / "state.json")
    for cycle in ("../../../elsewhere", [1], None, True, 1.5):
        state["cycles"][-1]["cycle"] = cycle
        checkpoint.write_json(own_run / "state.json", state)
        assert html_report.main([str(own_run)]) == 2
        assert "not the state of a run" in capsys.readouterr().err


class Unused(TinyNetwork):
    def __init__(self, num_classes: int, aux: bool = True):
        super().__init__(num_classes, aux)
        self.unused = torch.nn.Identity()


@pytest.mark.parametrize(
    "flags", [("--cam", "spider"), ("--ways", "rws", "--choose", "attention")], ids=["cam", "attention"]
)
@pytest.mark.parametrize("stages", [(), ("backbone.0", "backbone.0"), ("unused",)], ids=str)
def test_stages_that_cannot_be_looked_at(tmp_path, monkeypatch, capsys, stages, flags):
    monkeypatch.setitem(FAMILIES, "tiny", replace(TINY, build=Unused))
    path = tmp_path / "a.pt"
    checkpoint.save(path, {"model": Unused(6).state_dict(), "card": stored(stages=stages)})
    assert call(commands(tmp_path, path, path)["predict"]) == 0
    capsys.readouterr()
    assert call(commands(tmp_path, path, path)["predict"], *flags) == 2
    (line,) = [line for line in capsys.readouterr().err.splitlines() if line.startswith("error: ")]
    assert line.startswith("error: a: model.stages" if stages else "error: a: it has no stages to look at")


TAGS = (
    "!!python/object/apply:os.system ['touch ran']",
    "!!python/name:os.system",
    "!!python/module:nets_of_mine",
)


@pytest.mark.parametrize("tag", TAGS)
def test_tags_of_yaml_that_run_code_are_refused_wherever_yaml_is_read(tmp_path, tag):
    (tmp_path / "config.yaml").write_text(f"data: {{root: {tag}}}\n")
    (tmp_path / "summary.json").write_text("{}")
    path = tiny_checkpoint(tmp_path / "a.pt")
    assert train.main(["--config", str(tmp_path / "config.yaml")]) == 2
    assert train.main(["--config", str(tmp_path / "config.yaml"), "--list-stages"]) == 2
    assert guide.main(["--checkpoint", str(path)]) == 2
    assert html_report.main([str(tmp_path)]) == 2
    assert not ran(tmp_path)


# At random.


class Watch:
    """What Python is asked to import, open, connect to and start while `on`, but for what is installed."""

    def __init__(self) -> None:
        self.on, self.seen, self.folder = False, [], Path()
        sys.addaudithook(self)

    def __call__(self, event: str, arguments: tuple) -> None:
        if not self.on:
            return
        if event == "import" and not arguments[0].startswith(INSTALLED):
            self.seen.append((event, arguments[0]))
        if event == "open" and not str(arguments[0]).startswith(
            (sys.prefix, sys.base_prefix, str(self.folder))
        ):
            self.seen.append((event, arguments[0]))
        if event.startswith(("socket.", "urllib.", "subprocess.", "os.system", "os.exec", "os.posix_spawn")):
            self.seen.append((event, arguments))

    @contextmanager
    def watching(self, folder: Path) -> Iterator[None]:
        self.folder, self.on, self.seen = folder, True, []
        try:
            yield
        finally:
            self.on = False


INSTALLED = ("torch", "timm", "segmentation_models_pytorch", "numpy", "encodings", "huggingface_hub")
WATCH = Watch()
NAMES = (
    *("os:_exit", "posix:system", "builtins:exec", "nets_of_mine:make", "rws.cli:parse", "a:b:c", ":", "x:"),
    *("timm:hf-hub:a/b", "timm:hf_hub:a/b", "timm:local-dir:.", "timm:resnet18.hf-hub:a", "timm:resnet18.x"),
    *("smp:Unet:tu-hf-hub:a/b", "smp:Unet:tu-local-dir:.", "smp:Unet:tu-hf_hub:a", "smp:Unet:tu-"),
    *("smp:os:resnet18", "smp:Unet:", "smp::", "smp:", "timm:", "smp:Unet:resnet18", "timm:resnet18"),
    *("smp:from_pretrained:a/b", "smp:SegmentationModel:resnet18", "smp:Unet:../x", "../../etc/passwd"),
    *("fcn_resnet50", "tiny ", "TINY", "", "\x1b]0;x\x07", "x" * 100_000, "https://example.org/a.pt"),
)
VALUES = (
    *(None, True, -1, 0, 1, 2**31, 10**30, 1.5, float("nan"), "", "a", "\n", b"a", [], {}, [[]], {"a": 1}),
    *(torch.zeros(1), torch.zeros(0), {1, 2}, [None] * 300, "y" * 100_000, [2**40], ["a", 1]),
)


def mutated(rng: random.Random) -> object:
    """A card with one to three faults."""
    card = stored()
    for _ in range(rng.choice((1, 1, 2, 3))):
        where = rng.choice((card, card, card["classes"])) if isinstance(card.get("classes"), dict) else card
        key = rng.choice([*where, "more"]) if where else "more"
        kind = rng.randrange(6)
        if kind == 0:
            where.pop(key, None)
        elif kind == 1:
            card["network"] = rng.choice(NAMES)
        elif kind == 2 and isinstance(where.get(key), list | tuple):
            items = list(where[key])
            items[rng.randrange(len(items))] = rng.choice(VALUES)
            where[key] = items
        elif kind == 3 and isinstance(where.get(key), list | tuple):
            where[key] = where[key][: rng.randrange(len(where[key]))]
        elif kind == 4:
            where[rng.choice(VALUES[:12])] = 1
        else:
            where[key] = rng.choice(VALUES)
    return card if rng.random() < 0.97 else rng.choice(VALUES)


def outcome(path: Path) -> str | None:
    """What is said of a file; None where it is taken."""
    try:
        load_trained(path)
    except UserError as error:
        return str(error)
    return None


def assert_harmless(path: Path, said: str | None) -> None:
    assert WATCH.seen == []
    assert not (path.parent / "ran").exists()
    if said is not None:
        assert said.startswith(f"{path}: ")
        assert said.isprintable(), said
        assert len(said) < 1000


@pytest.fixture(scope="module")
def packages() -> None:
    """What they import and open late is no work of a card."""
    for package in ("timm", "segmentation_models_pytorch"):
        pytest.importorskip(package)
    for name in ("smp:Unet:resnet18", "timm:resnet18", "smp:Unet:tu-resnet18"):
        build_network(name, 2, weights="none")


def test_three_hundred_cards_that_lie(tmp_path, packages):
    rng, path, refused = random.Random(18), tmp_path / "a.pt", 0
    model = TinyNetwork(6).state_dict()
    for _ in range(300):
        torch.save({"format": 1, "model": model, "card": mutated(rng)}, path)
        with WATCH.watching(tmp_path):
            said = outcome(path)
        assert_harmless(path, said)
        refused += said is not None
    assert refused > 200


@pytest.mark.parametrize("name", NAMES, ids=lambda name: ascii(name)[:24])
def test_every_name_that_lies(tmp_path, packages, name):
    path = tmp_path / "a.pt"
    torch.save({"format": 1, "model": TinyNetwork(6).state_dict(), "card": stored(name)}, path)
    with WATCH.watching(tmp_path):
        said = outcome(path)
    assert said is not None
    assert_harmless(path, said)
