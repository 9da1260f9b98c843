"""RWS in films: what was unsure in one frame chooses the windows of the next."""

import numpy as np
from PIL import Image
from torch import Tensor, nn

from rws.method.look_again import PassBudget, SeenAgain, look_again
from rws.predict.ways import LookAgain
from rws.runs.model_file import Card

SMALL = 16  # pixels of a side, in grey, by which frames are compared
# Mean difference in levels of 255. In films of DAVIS neighbours differ by 11 at most and every eighth frame
# by 24; 200 photographs of VOC that have nothing to do with each other differ by 31 at least.
CUT = 24


class FilmLook:
    """Looks at the frames of one film, one after the other, in as many passes on the average as is asked for.

    The first frame of a scene, and one of another size than that before it, chooses its windows by itself.
    """

    def __init__(self, options: LookAgain):
        self._options, self._budget = options, PassBudget(options)
        self._unsure: Tensor | None = None
        self._small: np.ndarray | None = None

    def __call__(
        self, network: nn.Module, card: Card, image: Image.Image, images: Tensor | None = None
    ) -> SeenAgain:
        """See the next frame, in RGB; `images` as `look_again`.

        Raises: UserError as `look_again`.
        """
        small = np.asarray(image.convert("L").resize((SMALL, SMALL), Image.Resampling.BOX), np.float32)
        cut = self._small is None or np.abs(small - self._small).mean() > CUT
        alone = cut or self._options.choose != "uncertainty"
        before = None if alone else self._unsure
        found = look_again(network, card, image, self._options, self._budget, before=before, images=images)
        self._unsure, self._small = found.unsure, small
        return found
