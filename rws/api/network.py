"""A network that is ready: it is called with a photograph, or with several, and answers with what it saw."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import overload

import torch
from PIL import Image
from torch import nn

from rws.api.images import Source, as_image
from rws.api.seen import Look, Seen
from rws.errors import UserError
from rws.method.look_again import Look as LookOnce
from rws.method.look_again import look_at_images
from rws.predict.film_look import FilmLook
from rws.predict.inference import see_once
from rws.predict.predictor import Predictor
from rws.predict.video.frames import Source as Film
from rws.predict.video.sources import open_film
from rws.predict.ways import TTA, LookAgain
from rws.runtime.bars import say

AGAIN, PLAIN = "rws", "plain"


@dataclass(frozen=True)
class _Way:
    """A way to look at images, or at the frames of a film, among which the passes of `again` are shared."""

    tta: str
    again: LookOnce | None = None

    @classmethod
    def of(
        cls, name: str, passes: float | None, look: Callable[[LookAgain], LookOnce] = look_at_images
    ) -> "_Way":
        """Raises: UserError for an unknown way, and for passes that cannot be or belong to another way."""
        if name == AGAIN:
            try:
                again = LookAgain() if passes is None else LookAgain(passes)
            except UserError as error:
                raise UserError(str(error).removeprefix("command line: --")) from None
            return cls("none", look(again))
        if name not in (*TTA, PLAIN):
            raise UserError(f"ways {name!r}: must be one of {', '.join((*TTA, PLAIN, AGAIN))}")
        if passes is not None:
            raise UserError(f"passes {passes!r}: only ways={AGAIN!r} shares out passes, not {name!r}")
        return cls("none" if name == PLAIN else name)


class Network:
    """A network that segments photographs: `net("photo.jpg")` is what it saw of one.

    `rws.load` makes it.
    """

    def __init__(self, predictor: Predictor):
        self._predictor = predictor

    @property
    def module(self) -> nn.Module:
        """The network itself, in eval mode."""
        return self._predictor.network

    @property
    def classes(self) -> tuple[str, ...]:
        """The names of its classes."""
        return self._predictor.card.classes.names

    @property
    def stages(self) -> tuple[str, ...]:
        """The names of the modules whose heat maps are shown, early to late."""
        return self._predictor.card.stages

    @overload
    def __call__(self, source: Source, ways: str = "none", passes: float | None = None) -> Seen: ...

    @overload
    def __call__(
        self, source: Sequence[Source], ways: str = "none", passes: float | None = None
    ) -> list[Seen]: ...

    def __call__(
        self, source: Source | Sequence[Source], ways: str = "none", passes: float | None = None
    ) -> Seen | list[Seen]:
        """What the network sees of a photograph; of a list of them a list.

        ways: how it looks, as `--ways` of `rws predict`: once ("none"), several times and averaged ("flip",
        "ms_flip", "quarters", "quarters_flip"), or again where it is unsure ("rws"), in as many forward
        `passes` a photograph, over a list their mean; 3 unless given.

        Shape: an array (H, W, 3) uint8 in RGB; a tensor (3, H, W), uint8, or floating in [0, 1].
        Raises: UserError for what is no image, for a file that cannot be read, and for an unknown way.
        """
        way = _Way.of(ways, passes)
        if isinstance(source, list | tuple):
            return [self._seen(each, way, _name(each, f"image_{n}")) for n, each in enumerate(source)]
        return self._seen(source, way, _name(source, "image"))

    def film(self, path: str | Path | int, ways: str = "none", passes: float | None = None) -> Iterator[Seen]:
        """What the network sees of each frame of a film, one after the other; each knows its `time`.

        path: a film, a picture that moves, a folder of images, or the number of a camera, which never ends.
        The memory does not grow with the length. Faults in reading that did not stop it are printed.

        Raises: UserError for what is no film, and one that cannot be read.
        """
        way, film = _Way.of(ways, passes, FilmLook), open_film(Path(str(path)))
        film.levels = self._predictor.card.levels
        return self._frames(film, way)

    def _frames(self, film: Film, way: _Way) -> Iterator[Seen]:
        with closing(film.frames()) as frames:
            for number, frame in enumerate(frames):
                name = frame.name or f"{film.name}_{number:06}"
                yield self._looked(frame.image, way, name, float(frame.time), frame.path)
        say(*(f"warning: {problem}" for problem in film.problems))

    def _seen(self, source: Source, way: _Way, name: str) -> Seen:
        path = Path(source) if isinstance(source, str | Path) else None
        return self._looked(as_image(source, self._predictor.card), way, name, path=path)

    def _looked(
        self, image: Image.Image, way: _Way, name: str, time: float | None = None, path: Path | None = None
    ) -> Seen:
        try:
            look = self._look(image, way)
            return Seen(image, name, look.label(), self._predictor, look, time, path)
        except UserError as error:
            raise UserError(f"{name}: {error}") from None
        except torch.OutOfMemoryError:
            raise UserError(f"{name}: does not fit into the GPU's memory; load with device='cpu'") from None

    def _look(self, image: Image.Image, way: _Way) -> Look:
        network, card = self._predictor.network, self._predictor.card
        if way.again:
            return way.again(network, card, image)
        return see_once(network, card, image, way.tta)

    def __repr__(self) -> str:
        classes = ", ".join(self.classes[:4]) + (", ..." if len(self.classes) > 4 else "")
        return f"<Network {self._predictor.title}: {len(self.classes)} classes ({classes})>"


def _name(source: Source, otherwise: str) -> str:
    """What the results of an image are called."""
    return Path(source).stem if isinstance(source, str | Path) else otherwise
