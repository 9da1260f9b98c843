"""A film from its source through the networks into its file, a few frames in memory at a time."""

import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import AbstractContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import repeat
from pathlib import Path

import numpy as np
from torch import Tensor

from rws.data.classes import ClassSet
from rws.data.sets.davis import CLASSES as OBJECTS
from rws.errors import UserError
from rws.look.overlay import overlay
from rws.look.panels import Panels, fitted, panel_size
from rws.predict.predictor import Predictor, network_inputs
from rws.predict.video.frames import Frame, Source
from rws.predict.video.scores import Scores
from rws.predict.video.sinks import SINKS, Sink
from rws.runtime.bars import say, tracked
from rws.runtime.prefetch import ahead, one_thread
from rws.runtime.signals import Interrupted, deferred, handled

# Wider films than 4K are played by few; a GIF grows with each pixel.
WIDEST = {"mp4": 3840, "gif": 640}
TRUTH = "truth"


@dataclass(frozen=True)
class Shown:
    """How a film is drawn.

    form: mp4 or gif. width: in pixels, None for that of the source, within WIDEST. titled: with title bars
    and a legend. truth: with the masks in a picture of their own, where titled.
    """

    form: str
    width: int | None
    titled: bool
    truth: bool = False


@dataclass(frozen=True)
class Outcome:
    """What became of a film. signum: of the signal that ended it early, if one did."""

    frames: int
    seconds: float
    signum: int | None = None

    @property
    def rate(self) -> float:
        """Frames per second, from reading to writing."""
        return self.frames / self.seconds if self.seconds else 0.0


@dataclass
class Projection:
    """One film: read by a thread, predicted by this one, drawn, measured and written by a third."""

    source: Source
    predictors: Sequence[Predictor]
    scores: Scores
    path: Path
    shown: Shown
    sink: Sink | None = None
    panels: Panels | None = None
    size: tuple[int, int] = (0, 0)
    done: int = 0
    without_mask: int = 0
    _frames: Iterator[Frame] = field(init=False)

    def run(self) -> Outcome:
        """Make the film; SIGINT and SIGTERM complete it with the frames so far, a second one throws it away.

        Raises: UserError where the film cannot be read or written; nothing is left of it then.
        """
        signum, self._frames = None, self.source.frames()
        started = time.perf_counter()
        try:
            with handled(), deferred() as signalled:
                self._project(signalled)
                self._close()
        except Interrupted as signal:
            signum = signal.signum
            if self.sink is not None and self.sink.is_open:
                self.sink.discard()
                raise
        except BaseException:
            if self.sink is not None:
                self.sink.discard()
            raise
        finally:
            self._frames.close()
        return Outcome(self.done, time.perf_counter() - started, signum)

    def _close(self) -> None:
        if self.sink is not None:
            self.sink.close()

    def _project(self, signalled: Callable[[], int | None]) -> None:
        with one_thread() as reader, one_thread() as writer, self._progress() as bar:
            read = ahead(reader, lambda _: self._read(), repeat(None))
            for done in ahead(writer, lambda finish: finish(), self._predicted(read, signalled)):
                done.result()
                bar.update()

    def _progress(self) -> AbstractContextManager:
        return tracked(desc=self.source.name, total=self.source.count, unit=" frames")

    def _read(self) -> tuple[Frame, list[Tensor | None]] | None:
        """The next frame and what each network sees of it; None at the end."""
        frame = next(self._frames, None)
        try:
            return frame and (frame, network_inputs(self.predictors, frame.image))
        except UserError as error:
            raise UserError(f"{self.source.name}: {error}") from None

    def _predicted(
        self, read: Iterator[Future], signalled: Callable[[], int | None]
    ) -> Iterator[Callable[[], None]]:
        """Predict each frame; yields a function that draws, measures and writes it."""
        for future in read:
            if signalled() or (found := future.result()) is None:
                return
            frame, seen = found
            labels = [predictor.label(frame.image, own) for predictor, own in zip(self.predictors, seen)]
            yield partial(self._finish, frame, labels)

    def _finish(self, frame: Frame, labels: Sequence[np.ndarray]) -> None:
        """Draw, measure and write a frame."""
        mask = self.source.mask(frame.name)
        if mask is None:
            self.without_mask += 1
        else:
            self.scores.add(labels, mask, frame.name)
        if self.sink is None:
            self._open(frame.image.size)
        pictures = [overlay(frame.image, label, p.card.classes) for p, label in zip(self.predictors, labels)]
        if self.shown.truth:
            pictures.append(frame.image if mask is None else overlay(frame.image, mask, self._true_classes))
            labels = [*labels, mask]
        drawn = self.panels.drawn(pictures, labels) if self.panels else fitted(pictures[0], self.size)
        self.sink.add(drawn, frame.time, frame.duration)
        self.done += 1

    @property
    def _true_classes(self) -> ClassSet:
        """Those of the masks; an object has the colour of a network's class where that is its only one."""
        classes = self.predictors[0].card.classes
        return replace(OBJECTS, palette=classes.palette) if classes.foreground == (1,) else OBJECTS

    def _open(self, frame: tuple[int, int]) -> None:
        """Lay the film out for frames as large as the first, and begin to write it."""
        shown, most = self.shown, WIDEST[self.shown.form]
        titles = [*(predictor.title for predictor in self.predictors), *([TRUTH] if shown.truth else [])]
        self.size = panel_size(frame, len(titles), width=shown.width, most=most, titled=shown.titled)
        size = self.size
        if shown.titled:
            classes = [predictor.card.classes for predictor in self.predictors]
            classes += [self._true_classes] if shown.truth else []
            self.panels = Panels(titles, classes, self.size)
            size = self.panels.whole
        self.sink = SINKS[shown.form](self.path, size, self.source.rate, self.source.tick)


def print_outcome(projection: Projection, outcome: Outcome) -> bool:
    """Print what became of a film; returns whether all went well."""
    source = projection.source
    for problem in source.problems:
        say(f"error: {problem}", file=sys.stderr)
    speed = f"{outcome.frames} frames in {outcome.seconds:.1f} s, {outcome.rate:.2f} frames a second"
    say(f"{source.name}: {speed}, in {projection.path}" if outcome.frames else f"{source.name}: no frame")
    if outcome.frames and (too_fast := outcome.frames - projection.sink.written):
        say(f"{source.name}: {too_fast} frames left out, a GIF shows 50 a second at most")
    if projection.scores.values and projection.without_mask:
        say(f"{source.name}: {projection.without_mask} frames without a mask are not measured")
    if outcome.signum is not None and not source.endless and outcome.frames:
        say(f"{source.name}: interrupted; the film holds the frames so far", file=sys.stderr)
    return not source.problems
