"""What a split was when a run was begun with it: its ids in order, and a digest of each of their files.

A digest is over a file's size and the first and the last 64 KiB of it. Files of up to 128 KiB, as most
photographs and labels are, count in every byte; of a larger one a change in the middle that leaves its size
as it was goes unseen. Where files lie and when they were changed does not count.
"""

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path

from rws.data.split import Split
from rws.runtime.bars import tracked

PART = 64 * 1024
NAMED = 3  # ids that a line names before it only counts
_MISSING = "missing"


def file_digest(path: Path | None) -> str:
    """Of a file's size and both of its ends; a word of its own where it is not there."""
    try:
        with open(path or "", "rb", buffering=0) as file:
            size = os.fstat(file.fileno()).st_size
            digest = hashlib.blake2b(str(size).encode(), digest_size=8)
            digest.update(file.read(PART))
            if size > PART:
                file.seek(max(PART, size - PART))
                digest.update(file.read(PART))
    except (OSError, ValueError):  # a ValueError for a name with a zero byte
        return _MISSING
    return digest.hexdigest()


def split_digests(split: Split, *, progress: bool = True) -> dict[str, str]:
    """Of each id in the list's order the digests of its image and its label, with a blank between them."""
    with ThreadPoolExecutor(min(8, os.cpu_count() or 1)) as pool:
        found = pool.map(partial(_of_id, split), split.ids)
        bar = tracked(found, f"digests {split.split}", len(split.ids), leave=False, disable=not progress)
        return dict(zip(split.ids, bar))


def _of_id(split: Split, image_id: str) -> str:
    return f"{file_digest(split.find_image(image_id))} {file_digest(split.label_path(image_id))}"


def differences(before: dict[str, str], now: dict[str, str]) -> list[str]:
    """How the digests of a split differ, in words."""
    common = [i for i in before if i in now]
    changed = [(i, *zip(before[i].split(), now[i].split())) for i in common if before[i] != now[i]]
    found = {
        "gone from the list": [i for i in before if i not in now],
        "new in the list": [i for i in now if i not in before],
        "with another image": [i for i, image, _ in changed if image[0] != image[1]],
        "with another label": [i for i, _, label in changed if label[0] != label[1]],
    }
    said = [f"{some(ids)} {what}" for what, ids in found.items() if ids]
    return said if said or list(before) == list(now) else ["the list has another order"]


def some(ids: Sequence[str]) -> str:
    """How many ids, with the first of them by name."""
    more = ", ..." if len(ids) > NAMED else ""
    return f"{len(ids)} id{'s' if len(ids) > 1 else ''} ({', '.join(ids[:NAMED])}{more})"
