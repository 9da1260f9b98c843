"""Writes the report of a finished run; a run never fails for its report."""

import time
from collections.abc import Collection
from pathlib import Path

from rws.config import Config
from rws.data import Split
from rws.errors import UserError
from rws.look.beside import named_network, parse_beside
from rws.report.again import Again, closing_lines, look_again_at, looking, measured_before
from rws.report.facts import Facts, read_facts
from rws.report.looking import PageNetwork, load_networks
from rws.report.page import page
from rws.report.pictures import Pictures, make_pictures
from rws.runs.checkpoint import write_text
from rws.runs.splits import open_splits
from rws.runs.summary import closing_line
from rws.runtime.bars import say
from rws.runtime.device import choose_device

REPORT = "report.html"


def write_report(
    folder: Path,
    config: Config,
    splits: tuple[Split, Split] | None = None,
    trusted: Collection[str] = (),
) -> Path:
    """Write report.html of a finished run; without its data or networks it has numbers and no pictures.

    splits: those of the configuration, where they are open already. trusted: networks of one's own that the
    run's files may ask for.

    Raises: UserError for a folder without a finished run.
    """
    start = time.monotonic()
    facts = read_facts(folder)
    pictures, again, note = _seen(facts, config, splits, trusted)
    path = folder / REPORT
    write_text(path, page(facts, pictures, note, again))
    size = path.stat().st_size / 1e6
    say(f"report: {path} ({size:.1f} MB, {time.monotonic() - start:.0f} s)")
    say(*_closing(facts, again))
    return path


def _closing(facts: Facts, again: Again | None) -> list[str]:
    """The last lines of a run: what was measured at its end, else its own scores; SC-CAM has said its own."""
    if again:
        return closing_lines(again)
    return [] if facts.rounds else [closing_line(facts.summary)]


def _seen(
    facts: Facts, config: Config, splits: tuple[Split, Split] | None, trusted: Collection[str]
) -> tuple[Pictures, Again | None, str]:
    """The pictures, what looking again gives, and why there are no pictures.

    Without the data what was measured before of the same networks stays.
    """
    again = None
    try:
        networks = load_networks(facts, choose_device(config.device), trusted)
        again = None if facts.rounds else measured_before(facts.folder, networks)
        train, val = splits or open_splits(config.data)
        again = _again(facts, val, networks, config.look_again_images)
        return make_pictures(facts, train, val, networks, again and looking(networks)), again, ""
    except (UserError, OSError) as error:
        say(f"warning: the report has no pictures: {error}")
        return Pictures(), again, str(error)


def _again(facts: Facts, val: Split, networks: list[PageNetwork], most: int) -> Again | None:
    """What looking again gives; nothing for a run of SC-CAM, whose networks are not what it is about."""
    try:
        return look_again_at(facts.folder, val, networks, most) if most and not facts.rounds else None
    except UserError as error:
        say(f"warning: looking again was not measured: {error}")
        return None


def write_or_warn(folder: Path, config: Config, splits: tuple[Split, Split]) -> None:
    """As `write_report`, of a configuration that a person has passed; whatever goes wrong is one line."""
    try:
        write_report(folder, config, splits, [config.model.name])
    except Exception as error:
        what = " ".join(f"{type(error).__name__}: {error}".split())
        say(f"warning: no report ({what}); `rws report {folder}` tries again")


def rebuild(folder: Path, flags: list[str], trusted: tuple[str, ...] = ()) -> Path:
    """Write the report of a finished run again; flags of `rws train` win over its configuration.

    Raises: UserError for a folder without a finished run, and for wrong flags.
    """
    read_facts(folder)
    config = parse_beside(flags, folder / "config.yaml")
    return write_report(folder, config, trusted=trusted + named_network(flags, config))
