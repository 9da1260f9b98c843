"""Copies the configurations and class lists into the wheel, as rws/share; all else is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

SHARED = ("configs", "FWM_datalist_20Class")


class BuildWithShared(build_py):
    """An editable install has them where they are."""

    def run(self) -> None:
        super().run()
        for name in () if self.editable_mode else SHARED:
            copy = Path(self.build_lib) / "rws" / "share" / name
            shutil.rmtree(copy, ignore_errors=True)  # of an earlier build
            shutil.copytree(name, copy)


setup(cmdclass={"build_py": BuildWithShared})
