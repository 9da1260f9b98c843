"""What `rws predict` does with films."""

import sys
from dataclasses import dataclass
from pathlib import Path

from rws.errors import UserError
from rws.predict.options import PredictCommand
from rws.predict.predictor import levels_for, load_predictors
from rws.predict.video.frames import Source
from rws.predict.video.projection import Projection, Shown, print_outcome
from rws.predict.video.scores import Scores, foreground_of, score_table
from rws.predict.video.sinks import SINKS, require_encoder
from rws.predict.video.sources import film_paths
from rws.runtime.bars import say
from rws.runtime.device import choose_device


@dataclass(frozen=True)
class Films:
    """Films to make, and where."""

    sources: list[Source]
    paths: list[Path]
    form: str


def plan_films(sources: list[Source], command: PredictCommand) -> Films:
    """Where the films of a command are to be written, and in which form.

    Raises: UserError as `film_paths`, and for what films do not have: heat maps and annotations.
    """
    if command.cam is not None:
        raise UserError("--cam: heat maps are drawn of photographs, not of films; give it single frames")
    if command.legend is not None:
        raise UserError(f"--legend {command.legend}: is of photographs; --titles gives a film its legend")
    if command.films.truth and (without := [source.name for source in sources if not source.has_masks]):
        raise UserError(f"--truth: {without[0]} has no masks; it is for sequences of DAVIS that have")
    paths, form = film_paths(sources, command.output, command.films.form)
    for path in paths:
        require_encoder(SINKS[form].codec, path)
    if command.annotations is not None:
        raise UserError(f"--format {command.annotations}: is of photographs; {command.sources[0]} is a film")
    return Films(sources, paths, form)


def make_films(sources: list[Source], command: PredictCommand) -> int:
    """Make films and print how fast, and J and F where there are masks; the exit code.

    Raises: UserError as `plan_films` and `load_predictors`, and for an unknown class.
    """
    films = plan_films(sources, command)
    titles, foreground = command.titles, command.films.foreground
    device = choose_device(command.runs_on)
    predictors = load_predictors(command.networks, titles, device, command.options, command.trusted)
    for predictor in predictors:
        foreground_of(predictor, foreground)  # an unknown class is refused before a film is begun
    truth = command.films.truth
    titled = command.side_by_side or titles is not None or truth
    shown = Shown(films.form, command.width, titled, truth)
    measured, code = {}, 0
    cards = [predictor.card for predictor in predictors]
    for source, path in zip(films.sources, films.paths):
        looking = [predictor.of_film() for predictor in predictors]
        scores = Scores(looking, foreground)
        projection = Projection(source, looking, scores, path, shown)
        try:
            source.levels = levels_for(cards, source.paths[0] if source.paths else None)
            outcome = projection.run()
        except UserError as error:
            if len(films.sources) == 1:
                raise
            say(f"error: {error}", file=sys.stderr)
            code = 2
            continue
        measured[source.name] = scores
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
