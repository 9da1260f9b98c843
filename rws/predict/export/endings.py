"""The formats of an export and the endings of their files. Nothing here loads torch."""

from pathlib import Path

from rws.errors import UserError

ENDINGS = {"onnx": (".onnx",), "torchscript": (".pt", ".pth", ".ts"), "torch_export": (".pt2",)}


def format_of(path: Path) -> str:
    """The format that the ending of a file says.

    Raises: UserError for an ending of none.
    """
    for name, endings in ENDINGS.items():
        if path.suffix in endings:
            return name
    known = "; ".join(f"{' or '.join(endings)} for {name}" for name, endings in ENDINGS.items())
    raise UserError(f"{path}: its ending says no format; give it {known}")
