"""Checksums within text files: a JSON file carries one as its last key, any other text as its first line."""

import hashlib
import json
import re

KEY = "/sha256"  # the keys of a file may be ids of images, and no id holds a /
_SEAL = re.compile(r"[0-9a-f]{64}")
_FIRST_LINE = re.compile(r"# sha256 ([0-9a-f]{64})")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def is_seal(value: object) -> bool:
    """Whether a value can be a checksum."""
    return isinstance(value, str) and bool(_SEAL.fullmatch(value))


def sealed(content: dict) -> dict:
    """A dictionary that JSON can hold, with the checksum of what it holds."""
    return {**content, KEY: _digest(json.dumps(content))}


def opened(content: dict) -> dict:
    """What `sealed` was given; one from before there were checksums as it is.

    Raises: ValueError for one that has changed.
    """
    content = dict(content)
    seal = content.pop(KEY, None)
    if seal is None and content and is_seal(list(content.values())[-1]):
        raise ValueError("its checksum has lost its name")
    if seal not in (None, _digest(json.dumps(content))):
        raise ValueError("its checksum is wrong")
    return content


def sealed_text(text: str) -> str:
    """A text in which # begins a comment, with its checksum."""
    return f"# sha256 {_digest(text)}\n{text}"


def opened_text(text: str) -> str:
    """What `sealed_text` was given; one from before there were checksums as it is.

    Raises: ValueError for one that has changed.
    """
    first, _, rest = text.partition("\n")
    if not re.search(r"\S{64}", first):
        return text
    seal = _FIRST_LINE.fullmatch(first)
    if seal is None or seal.group(1) != _digest(rest):
        raise ValueError("its checksum is wrong")
    return rest
