"""The official evaluation of Cityscapes, on results as files."""

from collections.abc import Sequence
from pathlib import Path

import pytest


def cityscapes_scores(results: Sequence[Path], truths: Sequence[Path]) -> dict:
    """What cityscapesScripts finds of labelIds, by key: averageScoreClasses and classScores, as shares."""
    official = pytest.importorskip(
        "cityscapesscripts.evaluation.evalPixelLevelSemanticLabeling",
        reason='pip install -e ".[dev]" has cityscapesScripts',
    )
    options = official.args
    options.evalInstLevelScore, options.quiet, options.JSONOutput = False, True, False
    return official.evaluateImgLists([*map(str, results)], [*map(str, truths)], options)
