"""A camera by its number, through OpenCV."""

import time
from collections.abc import Iterator
from fractions import Fraction

import cv2
from PIL import Image

from rws.errors import UserError
from rws.predict.video.frames import Frame, Source

USUAL_RATE = 30


class Camera(Source):
    """The frames of a camera as they come, each at the time at which it was taken, until somebody ends it.

    Raises: UserError where there is no such camera.
    """

    tick = Fraction(1, 1000)
    endless = True

    def __init__(self, number: int) -> None:
        super().__init__()
        self.name, self._number = f"camera{number}", number
        # What its backends say of a camera that is not there is said below, in one line.
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise UserError(f"camera {number}: cannot be opened; is it plugged in, and not used elsewhere?")
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # newer frames rather than all of them
        self.rate = Fraction(self._capture.get(cv2.CAP_PROP_FPS) or USUAL_RATE).limit_denominator(1001)

    def frames(self) -> Iterator[Frame]:
        start = None
        try:
            while (read := self._capture.read())[0]:
                now = time.monotonic()
                start = now if start is None else start
                image = Image.fromarray(cv2.cvtColor(read[1], cv2.COLOR_BGR2RGB))
                yield Frame(image, round((now - start) * 1000) * self.tick, 1 / self.rate)
        finally:
            self._capture.release()
        if start is None:
            raise UserError(f"camera {self._number}: gives no picture; is it used elsewhere?")
        self.problems.append(f"camera {self._number}: gave no more pictures")
