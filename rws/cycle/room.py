"""What no memory of this machine could hold is refused before a run begins."""

from rws.config import Config
from rws.errors import UserError
from rws.runtime.distributed import world
from rws.runtime.memory import memory_bytes

_BYTES = 12  # of a pixel of the network's input
_MOST = 10**100  # where whole numbers end that floats can be multiplied by


def check_room(config: Config) -> None:
    """Refuse a batch of crops, or an image, that is larger than the memory.

    Raises: UserError.
    """
    data, batch = config.data, config.train.batch_size
    (height, width), side = data.crop_size, min(data.base_size, _MOST) * data.scale[1]
    pixels = {
        f"train.batch_size {batch} with data.crop_size {height} x {width}": batch * height * width / world(),
        f"data.base_size {data.base_size} with data.scale up to {data.scale[1]:g}": side * side,
    }
    for what, count in pixels.items():
        if count * _BYTES > memory_bytes():
            raise UserError(
                f"{what}: needs more than the {memory_bytes() / 1e9:.0f} GB of memory that there are; "
                "give smaller numbers"
            )
