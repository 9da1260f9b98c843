"""What `rws predict` does with films."""

from dataclasses import dataclass
from pathlib import Path

from rws.errors import UserError
from rws.predict.options import PredictCommand
from rws.predict.predictor import load_predictors
from rws.predict.video.frames import Source
from rws.predict.video.projection import Projection, Shown, print_outcome
from rws.predict.video.scores import Scores, foreground_of, score_table
from rws.predict.video.sinks import SINKS, require_encoder
from rws.predict.video.sources import film_paths, open_sources
from rws.runtime.bars import say
from rws.runtime.device import choose_device


@dataclass(frozen=True)
class Films:
    """Films to make, and where."""

    sources: list[Source]
    paths: list[Path]
    form: str


def find_films(command: PredictCommand) -> Films | None:
    """The films that a command names; None for photographs.

    Raises: UserError as `open_sources` and `film_paths`, for heat maps, which films do not have, and for
        films and photographs together.
    """
    asked = command.films
    found = {
        source: open_sources(source, command.output, asked.sequence, asked.form, asked.rate)
        for source in dict.fromkeys(command.sources)
    }
    sources = [film for films in found.values() for film in films]
    if not sources:
        return None
    if others := [source for source, films in found.items() if not films]:
        raise UserError(
            f"{others[0]}: is no film, others are; give films and photographs one after the other"
        )
    if command.cam is not None:
        raise UserError("--cam: heat maps are drawn of photographs, not of films; give it single frames")
    if command.legend is not None:
        raise UserError(f"--legend {command.legend}: is of photographs; --titles gives a film its legend")
    if asked.truth and (without := [source.name for source in sources if not source.has_masks]):
        raise UserError(f"--truth: {without[0]} has no masks; it is for sequences of DAVIS that have")
    paths, form = film_paths(sources, command.output, asked.form)
    for path in paths:
        require_encoder(SINKS[form].codec, path)
    return Films(sources, paths, form)


def make_films(films: Films, command: PredictCommand) -> int:
    """Make the films and print how fast, and J and F where there are masks; the exit code."""
    titles, foreground = command.titles, command.films.foreground
    device = choose_device(command.runs_on)
    predictors = load_predictors(command.networks, titles, device, command.options, command.trusted)
    for predictor in predictors:
        foreground_of(predictor, foreground)  # an unknown class is refused before a film is begun
    truth = command.films.truth
    titled = command.side_by_side or titles is not None or truth
    shown = Shown(films.form, command.width, titled, truth)
    measured, code = {}, 0
    for source, path in zip(films.sources, films.paths):
        measured[source.name] = Scores(predictors, foreground)
        projection = Projection(source, predictors, measured[source.name], path, shown)
        outcome = projection.run()
        fine = print_outcome(projection, outcome)
        code = code if fine else 2
        if outcome.signum is not None and not source.endless:
            code = 128 + outcome.signum
            break
    lines = score_table(measured)
    if foreground and not lines:
        say("--foreground: there are no masks to measure against")
    say(*lines)
    return code
