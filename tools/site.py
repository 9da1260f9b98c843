"""Hooks of mkdocs.yml: the README is the first page, and links into the repository do not break.

A page of docs/ is read in the repository, too, where `../rws/core/cam.py` leads to the code. On the site such
a link leads to the repository if mkdocs.yml says `repo_url`, and is its text alone if not.
"""

import re
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.plugins import event_priority
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page

ROOT = Path(__file__).parent.parent
PICTURES = (".png", ".gif", ".jpg", ".svg")
NOTEBOOK = "notebooks/tour.ipynb"
# A link or a picture: [text](target) with an anchor or none.
LINK = re.compile(r"(!?)\[((?:[^\[\]]|\[[^\]]*\])*)\]\(([^)#\s]+)(#[^)\s]*)?\)")


@event_priority(100)  # before the plugin that reads notebooks
def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the README, its pictures and the notebook, which lie outside docs/."""
    files.append(File.generated(config, "index.md", content=(ROOT / "README.md").read_text(encoding="utf-8")))
    for picture in sorted((ROOT / "Figs").iterdir()):
        if picture.suffix in PICTURES:
            files.append(File.generated(config, f"Figs/{picture.name}", abs_src_path=str(picture)))
    notebook = ROOT / NOTEBOOK
    files.append(File(notebook.name, str(notebook.parent), config.site_dir, config.use_directory_urls))
    return files


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Lead every link to a page of the site, to the repository, or nowhere."""
    folder = ROOT if page.file.src_uri == "index.md" else ROOT / "docs" / Path(page.file.src_uri).parent
    return LINK.sub(lambda match: _link(match, folder, config.repo_url), markdown)


def _link(match: re.Match, folder: Path, repository: str | None) -> str:
    mark, text, target, anchor = match.groups(default="")
    if "://" in target or target.startswith("mailto:"):
        return match[0]
    path = (folder / target).resolve()
    if not path.is_relative_to(ROOT):
        return match[0]
    place = path.relative_to(ROOT).as_posix()
    if place == "README.md":
        return f"{mark}[{text}](index.md{anchor})"
    if place == NOTEBOOK:
        return f"[{text}]({path.name}{anchor})"
    if place.startswith("Figs/"):
        return f"{mark}[{text}]({place})"
    if place.startswith("docs/"):
        return f"{mark}[{text}]({place.removeprefix('docs/')}{anchor})"
    return f"[{text}]({repository.rstrip('/')}/blob/main/{place}{anchor})" if repository else text
