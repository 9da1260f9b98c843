"""What a command line names as films, and where each is written.

A file with the ending of a film, a picture that moves, the number of a camera and `--sequence` are films. A
folder of images holds photographs, unless the output is a film: then its images are the frames.
"""

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

from rws.errors import UserError
from rws.predict.flags import FILM_FORMS
from rws.predict.options import PredictCommand
from rws.predict.video.camera import Camera
from rws.predict.video.frames import Source
from rws.predict.video.pictures import Animation, is_animated, open_folder, open_sequences

# fmt: off
SUFFIXES = (
    ".mp4", ".m4v", ".mov", ".avi", ".mkv", ".webm", ".mpg", ".mpeg", ".wmv", ".flv", ".3gp", ".ogv",
    ".mts", ".m2ts",
)
# fmt: on


def ending_form(output: Path) -> str | None:
    """The form of film that an output's ending names; None for a folder.

    Raises: UserError for a kind of film that is not written.
    """
    ending = output.suffix.lower()
    if ending in SUFFIXES and ending[1:] not in FILM_FORMS and not output.is_dir():
        raise UserError(f"{output}: films are written as .mp4 or .gif; give one of these, or a folder")
    return ending[1:] if ending[1:] in FILM_FORMS and not output.is_dir() else None


def open_film(source: Path) -> Source:
    """A film by its path: a file, a picture that moves, or a folder of images in the order of their numbers.

    Raises: UserError for what cannot be opened, and for a photograph.
    """
    if source.is_dir():
        return open_folder(source, None)
    found = _open_file(source, film=True)
    if not found:
        raise UserError(f"{source}: no such film; check the path")
    return found[0]


def is_camera(source: Path) -> bool:
    """Whether the input is the number of a camera, and no file or folder of that name."""
    return str(source).isdecimal() and not source.exists()


def find_films(command: PredictCommand) -> list[Source]:
    """The films that a command names; none where it names photographs.

    Raises: UserError as `open_sources`, and for films and photographs together.
    """
    asked = command.films
    found = {
        source: open_sources(source, command.output, asked.sequence, asked.form, asked.rate)
        for source in dict.fromkeys(command.sources)
    }
    films = [film for sources in found.values() for film in sources]
    if films and (others := [source for source, sources in found.items() if not sources]):
        raise UserError(
            f"{others[0]}: is no film, others are; give films and photographs one after the other"
        )
    return films


def open_sources(
    source: Path, output: Path, sequence: str | None, form: str | None, rate: Fraction | None
) -> list[Source]:
    """The films of a command line; none where it names photographs.

    Raises: UserError for what cannot be opened, and for options that contradict the input.
    """
    film = form is not None or ending_form(output) is not None
    if sequence is not None:
        return list(open_sequences(source, sequence, rate))
    if source.is_dir():
        return [open_folder(source, rate)] if film else []
    found = _open_file(source, film)
    if found and rate is not None:
        raise UserError(f"--fps: only images are given a rate, {source} has its own; leave it out")
    return found


def _open_file(source: Path, film: bool) -> list[Source]:
    """The film of a camera or a file; none where it is a photograph and no `film` is asked for."""
    if is_camera(source):
        return [Camera(int(str(source)))]
    if source.suffix.lower() in SUFFIXES:
        if not source.is_file():
            raise UserError(f"{source}: no such film; check the path")
        from rws.predict.video.files import FilmFile  # FFmpeg's libraries, which no photograph needs

        return [FilmFile(source)]
    if not source.is_file():
        return []
    if is_animated(source):
        return [Animation(source)] if film or source.suffix.lower() == ".gif" else []
    if film:
        raise UserError(f"{source}: is no film but a photograph, whose results go into a folder")
    return []


def film_paths(sources: Sequence[Source], output: Path, form: str | None) -> tuple[list[Path], str]:
    """Where each film is written, and in which form: the output itself, or NAME.mp4 in it if it is a folder.

    Raises: UserError where form and ending differ, several films have one file, or one would replace an
    input.
    """
    named = ending_form(output)
    if named and form and named != form:
        raise UserError(f"{output}: ends in .{named} but --format is {form}; leave one of them out")
    form = named or form or "mp4"
    if named and len(sources) > 1:
        raise UserError(f"{output}: is one film, but there are {len(sources)}; give a folder with --output")
    paths = [output] if named else [output / f"{source.name}.{form}" for source in sources]
    if twice := [path for place, path in enumerate(paths) if path in paths[:place]]:
        raise UserError(f"{twice[0]}: two films would both be written there; give them one after the other")
    for source, path in zip(sources, paths):
        if path.is_dir():
            raise UserError(f"{path}: is a folder; give another --output")
        if any(path.resolve() == taken.resolve() for taken in source.paths) or _same(path, source.paths):
            raise UserError(f"{path}: the result would overwrite this input; give another --output")
    return paths, form


def _same(path: Path, inputs: Sequence[Path]) -> bool:
    """Whether a path is a file of the inputs by another name."""
    return path.exists() and any(taken.exists() and path.samefile(taken) for taken in inputs)
