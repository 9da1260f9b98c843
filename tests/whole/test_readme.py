"""README.md and docs/ are true: tables are as their tools print them, names and links lead somewhere."""

import importlib.util
import re
from pathlib import Path

import pytest
import torch
from tiny import REPOSITORY

from tools.fill_tables import BLOCK, filled, pages

PAGES = {str(page.relative_to(REPOSITORY)): page for page in pages()}
# Files of mmsegmentation.
ELSEWHERE = {"configs/deeplabv3/metafile.yaml", "configs/deeplabv3/README.md"}
STEPS = ("look", "find", "train on slices", "select", "fuse")


def text(name: str) -> str:
    return PAGES[name].read_text(encoding="utf-8")


def anchors(page: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    prose = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("name", [name for name in PAGES if BLOCK.search(text(name))])
def test_tables_are_as_their_tools_print_them(name):
    assert text(name) == filled(PAGES[name]), "run `python -m tools.fill_tables`"


@pytest.mark.parametrize(
    ("name", "command"),
    [
        ("README.md", "tools.evidence_table again"),
        ("docs/options.md", "tools.options_table"),
        ("docs/results.md", "tools.evidence_table trained"),
        ("docs/results.md", "tools.evidence_table at-test-time"),
        ("docs/results.md", "tools.evidence_table long"),
        ("docs/results.md", "tools.evidence_table pasted"),
        ("docs/benchmarks.md", "tools.benchmark_table benchmarks/results/amd-epyc-2-cores-2026-11-23"),
    ],
)
def test_each_table_has_its_page(name, command):
    (block,) = [m[0] for m in BLOCK.finditer(text(name)) if f"`python -m {command}" in m[0]]
    assert block.count("\n| ") >= 5


def test_the_readme_is_a_page_to_land_on():
    lines = text("README.md").splitlines()
    assert len(lines) <= 200
    early = "\n".join(lines[:24])
    assert all(command in early for command in ("pip install", "rws predict", "make demo"))
    table = BLOCK.search(text("README.md"))[0].splitlines()
    assert len([line for line in table if line.startswith("| ")]) - 2 <= 6, (
        "six rows beside the two of the head"
    )


def steps_of(page: str) -> list[str]:
    return re.findall(r"^\d\. \*\*([a-z ]+)\*\*", page, re.MULTILINE)


def test_the_five_steps_have_the_same_words_everywhere():
    readme = text("README.md")
    assert tuple(steps_of(readme)[:5]) == STEPS
    method = text("docs/method.md")
    assert tuple(steps_of(method)) == STEPS
    files = ("core/cam.py", "core/slices.py", "training/training.py", "core/advantage.py", "core/fusion.py")
    for page in (readme, method):
        parts = re.split(r"^\d\. \*\*", page, flags=re.MULTILINE)[1:6]
        assert all(file in part for file, part in zip(files, parts))


def test_the_readme_names_every_wing():
    wings = {path.parent.name for path in (REPOSITORY / "rws").glob("*/__init__.py")}
    wings -= {"moved"}  # old names of commands
    assert wings <= set(re.findall(r"^\| .*`rws/(\w+)/`", text("README.md"), re.MULTILINE))


def test_the_pages_of_docs_are_listed():
    listed = set(re.findall(r"\]\((\w+\.md)\)", text("docs/README.md")))
    assert {f"docs/{name}" for name in listed} | {"README.md", "docs/README.md"} == set(PAGES)


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name):
    page = PAGES[name]
    for target in re.findall(r"\]\((?!https?:)([^)\s]+)\)", text(name)):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@pytest.mark.parametrize("name", PAGES)
def test_files_and_modules_that_are_named_exist(name):
    folders = "rws|tests|tools|configs|examples|benchmarks|notebooks|docs"
    files = re.findall(rf"\b(?:{folders})/[\w/]+\.(?:py|yaml|md|ipynb|json)\b", text(name))
    assert [file for file in files if not (REPOSITORY / file).exists() and file not in ELSEWHERE] == []
    modules = re.findall(r"python -m ((?:rws|benchmarks|tools)[\w.]*\w)", text(name))
    assert [module for module in modules if importlib.util.find_spec(module) is None] == []


@pytest.mark.parametrize("name", ["docs/differences.md", "docs/reliability.md"])
def test_tests_that_are_named_exist(name):
    named = set(re.findall(r"`(test_\w+)`", text(name)))
    known = {
        test
        for path in (REPOSITORY / "tests").rglob("test_*.py")
        for test in re.findall(r"^ *def (test_\w+)", path.read_text(), re.MULTILINE)
    }
    assert named
    assert named - known == set()


def test_example_of_an_own_training_loop_runs(tmp_path, monkeypatch, capsys):
    """The example as printed, on a demo set of a few images; features are selected, and fused."""
    pytest.importorskip("segmentation_models_pytorch", reason="pip install .[smp]")
    from rws.data.sets import demo

    (block,) = re.findall(r"```python\n(.*?)```", text("docs/own_loop.md"), re.DOTALL)
    statements = [line for line in block.splitlines() if line.strip() and "import" not in line]
    assert len(statements) <= 40
    demo.generate(tmp_path / "data" / "demo", train=4, val=2, progress=False)
    monkeypatch.chdir(tmp_path)
    torch.manual_seed(0)
    space: dict = {"__name__": "example"}
    exec(compile(block, "own_loop.md", "exec"), space)
    rows = capsys.readouterr().out.splitlines()
    assert [row.partition("; fused")[0].endswith("weak slices") for row in rows] == [True, True]
    assert space["weak"] > 0
    assert list(space["share"]) == [f"encoder.layer{k}" for k in (1, 2, 3, 4)]
    assert any(0 < share < 1 for share in space["share"].values())
    images, _, ids = next(iter(space["plain"]))
    model = space["model"].eval()
    with torch.no_grad():
        alone = model(images)
        with space["rws"].fused(images, ids):
            assert not torch.equal(model(images), alone), "something is fused"
        assert torch.equal(model(images), alone), "and gone again"
