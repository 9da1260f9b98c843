"""Work that goes on beside the network: reading what comes next, writing what is done."""

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from functools import partial
from typing import NoReturn

import torch

from rws.errors import UserError

# Images read before the network takes them, and results waiting to be written.
IN_FLIGHT = 4


def ahead(pool: Executor, call: Callable, items: Iterable, most: int = IN_FLIGHT) -> Iterator[Future]:
    """`call` of each item, run by the pool, in the items' order; never more than `most` wait or are done.

    Without that bound the images of a whole folder would come to lie in memory.
    """
    futures: deque[Future] = deque()
    for item in items:
        futures.append(pool.submit(call, item))
        if len(futures) == most:
            yield futures.popleft()
    yield from futures


def one_thread() -> ThreadPoolExecutor:
    """A pool of one thread, also inside torch: more take the cores from the network."""
    return ThreadPoolExecutor(1, initializer=torch.set_num_threads, initargs=(1,))


def finishing(predict: Callable, futures: Iterable[Future]) -> Iterator[Callable[[], None]]:
    """What `predict` leaves to do for the result of each future; for one that failed, raising its error."""
    for future in futures:
        try:
            yield predict(future.result())
        except UserError as error:
            yield partial(_fail, error)


def _fail(error: UserError) -> NoReturn:
    raise error
