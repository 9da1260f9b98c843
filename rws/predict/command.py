"""What `rws predict` does once its flags are read: films in video/command.py, photographs here."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from rws.errors import UserError
from rws.predict.annotations import ONE_IMAGE, Annotations
from rws.predict.images import find_images, make_output, refuse_overwriting, result_stems
from rws.predict.options import PredictCommand
from rws.predict.photographs import CAM, COMPARED, LABEL, OVERLAY, ImageJob
from rws.predict.predictor import load_predictors
from rws.predict.sliding import any_size
from rws.predict.video.sources import find_films
from rws.predict.ways import HeatMaps
from rws.runtime.bars import say, tracked
from rws.runtime.device import choose_device
from rws.runtime.prefetch import ahead, finishing, one_thread

if TYPE_CHECKING:
    from rws.predict.side_by_side import SideBySide


def predict(command: PredictCommand) -> int:
    """Predict the films or the photographs that a command names; the exit code.

    Raises: UserError for an input, an output or a checkpoint that cannot be used.
    """
    films = find_films(command)
    if not films:
        return predict_photographs(command)
    from rws.predict.video.command import make_films  # FFmpeg's libraries, and matplotlib for titles

    return make_films(films, command)


def predict_photographs(command: PredictCommand) -> int:
    """Predict an image, or all of a folder; the exit code, 2 where one of them failed.

    Raises: UserError for what is wrong with all of them.
    """
    refuse_film_flags(command)
    images, notes = find_images(command.sources, command.output)
    endings = result_endings(command)
    stems = {p: command.output / s for p, s in result_stems(images, command.sources, endings).items()}
    job = load_job(command, stems)
    refuse_overwriting(images, [s.with_name(s.name + ending) for s in stems.values() for ending in endings])
    make_output(command.output)
    say(*notes)
    try:
        with any_size(command.options.windows is not None):
            failed = predict_all(job, images)
    finally:  # what was predicted before an interruption is kept
        if command.annotations is not None:
            job.annotations.close()
    say(f"{len(images) - failed} of {len(images)} images predicted, in {command.output}")
    return 2 if failed else 0


def refuse_film_flags(command: PredictCommand) -> None:
    """Raises: UserError for a flag that photographs do not have."""
    films = command.films
    asked = ((films.rate, "--fps"), (films.foreground, "--foreground"), (films.truth or None, "--truth"))
    for value, flag in asked:
        if value is not None:
            raise UserError(f"{flag}: is for films; {command.sources[0]} holds photographs")
    for value, flag in ((command.titles, "--titles"), (command.width, "--width")):
        if not command.side_by_side and value is not None:
            raise UserError(f"{flag}: is for films and pictures side by side; give --compare with it")


def result_endings(command: PredictCommand) -> tuple[str, ...]:
    """The endings of the results of a photograph."""
    if command.side_by_side:
        return (COMPARED,)
    annotations = (ONE_IMAGE,) if command.annotations == "labelme" else ()
    return (LABEL, OVERLAY, *(() if command.cam is None else (CAM,)), *annotations)


def load_job(command: PredictCommand, stems: dict[Path, Path]) -> "ImageJob | SideBySide":
    """The networks of a command and what they do with a photograph; `stems` say where its results go.

    Raises: UserError for a checkpoint or a device that cannot be used, and for an unknown class.
    """
    device = choose_device(command.runs_on)
    predictors = load_predictors(command.networks, command.titles, device, command.options, command.trusted)
    if command.side_by_side:
        from rws.predict.side_by_side import SideBySide  # matplotlib, for titles

        return SideBySide(predictors, command.width, stems)
    maps = None
    if command.cam is not None:
        maps = HeatMaps(command.cam, command.cam_method, command.cam_whole)
        predictors[0].card.classes.index(command.cam)
        predictors[0].require_stages()
    form, annotations = command.annotations, None
    if form is not None:
        annotations = Annotations(form, predictors[0].card.classes, stems, command.output)
    return ImageJob(predictors[0], stems, maps, annotations, command.legend)


def predict_all(job: "ImageJob | SideBySide", images: list[Path]) -> int:
    """Predict and write, the next images read and the last ones written beside it; the number that failed."""
    failed = 0
    # An interruption lets the writer end.
    with one_thread() as reader, one_thread() as writer:
        predicted = finishing(job.predict, ahead(reader, job.read, images))
        written = ahead(writer, lambda finish: finish(), predicted)
        for result in tracked(written, total=len(images), unit="image"):
            try:
                result.result()
            except UserError as error:
                failed += 1
                say(f"error: {error}", file=sys.stderr)
    return failed
