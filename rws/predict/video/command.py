"""The part of predict.py that makes films: its options, and what they do."""

import argparse
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

from rws.errors import UserError
from rws.predict.predictor import Manner, load_viewers
from rws.predict.video.frames import Source
from rws.predict.video.projection import Projection, Shown, report
from rws.predict.video.scores import Scores, foreground_of, table
from rws.predict.video.sinks import SINKS, encoder_of
from rws.predict.video.sources import film_paths, open_sources
from rws.runtime.device import choose_device


def positive(text: str) -> Fraction:
    """A rate such as 24, 23.976 or 30000/1001."""
    rate = Fraction(text).limit_denominator(1001)
    if not 0 < rate <= 1000:
        raise ValueError
    return rate


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of films, and those for several networks side by side."""
    films = parser.add_argument_group("films")
    films.add_argument(
        "--sequence", metavar="NAME", help="sequences of DAVIS, whose root is the input; with commas"
    )
    films.add_argument(
        "--format", choices=tuple(SINKS), help="of a film; mp4, unless the output's ending says it"
    )
    films.add_argument("--fps", type=positive, help="frames per second of images as a film; 24")
    films.add_argument("--foreground", metavar="CLASS", help="measure this class alone against the masks")
    several = parser.add_argument_group("side by side")
    several.add_argument(
        "--compare",
        type=Path,
        nargs="+",
        metavar="CHECKPOINT",
        help="two or more checkpoints, instead of one",
    )
    several.add_argument(
        "--titles", nargs="+", metavar="TITLE", help="of the checkpoints; gives one alone a title, too"
    )
    several.add_argument(
        "--width", type=int, metavar="PIXELS", help="of a film, and of pictures side by side"
    )


@dataclass(frozen=True)
class Films:
    """Films to make, and where."""

    sources: list[Source]
    paths: list[Path]
    form: str


def find_films(args: argparse.Namespace) -> Films | None:
    """The films that a command line names; None for photographs.

    Raises: UserError as `open_sources` and `film_paths`, and for an option that films do not have.
    """
    sources = open_sources(args.input, args.output, args.sequence, args.format, args.fps)
    if not sources:
        for value, flag in ((args.fps, "--fps"), (args.foreground, "--foreground")):
            if value is not None:
                raise UserError(f"{flag}: is for films; {args.input} holds photographs")
        return None
    if args.cam is not None:
        raise UserError("--cam: heat maps are drawn of photographs, not of films; give it single frames")
    paths, form = film_paths(sources, args.output, args.format)
    for path in paths:
        encoder_of(SINKS[form].codec, path)
    return Films(sources, paths, form)


def checkpoints_of(args: argparse.Namespace) -> list[Path]:
    """The one checkpoint or those side by side.

    Raises: UserError for a single one side by side with nothing.
    """
    if args.compare is not None and len(args.compare) < 2:
        raise UserError("--compare: needs two checkpoints or more; take --checkpoint for one")
    return args.compare or [args.checkpoint]


def make_films(films: Films, args: argparse.Namespace, manner: Manner) -> int:
    """Make the films and print how fast, and J and F where there are masks; the exit code."""
    device = choose_device(args.device)
    viewers = load_viewers(checkpoints_of(args), args.titles, device, manner)
    for viewer in viewers:
        foreground_of(viewer, args.foreground)
    titled = len(viewers) > 1 or args.titles is not None
    shown, measured, code = Shown(films.form, args.width, titled), {}, 0
    for source, path in zip(films.sources, films.paths):
        measured[source.name] = Scores(viewers, args.foreground)
        projection = Projection(source, viewers, measured[source.name], path, shown)
        outcome = projection.run()
        fine = report(projection, outcome)
        code = code if fine else 2
        if outcome.signum is not None and not source.endless:
            code = 128 + outcome.signum
            break
    lines = table(measured)
    if args.foreground and not lines:
        print("--foreground: there are no masks to measure against")
    print(*lines, sep="\n", end="\n" if lines else "")
    return code
