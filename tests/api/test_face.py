"""What `import rws` gives out, and that it loads nothing heavy."""

import subprocess
import sys

import pytest
from tiny import REPOSITORY

import rws
from rws.errors import UserError
from rws.wrapper.rws import RWS

NAMES = ["RWS", "UserError", "coordinates", "load", "see", "train", "val"]


def test_seven_names_and_no_more():
    assert dir(rws) == rws.__all__ == NAMES
    assert rws.RWS is RWS
    assert rws.UserError is UserError
    for name in NAMES:
        assert getattr(rws, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'lod'"):
        rws.lod  # noqa: B018


def test_the_names_stay_functions_when_everything_is_imported():
    """No folder or file of the package has the name of a function, which it would take the place of."""
    taken = {path.stem for path in (REPOSITORY / "rws").iterdir()}
    assert taken.isdisjoint(NAMES)


def test_importing_loads_nothing_heavy():
    code = (
        "import sys, rws; print({'torch', 'numpy', 'PIL'} & sys.modules.keys()); rws.UserError; dir(rws); "
        "print('torch' in sys.modules); rws.load; print('torch' in sys.modules)"
    )
    argv = [sys.executable, "-c", code]
    ended = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert ended.stdout.split() == ["set()", "False", "True"]
