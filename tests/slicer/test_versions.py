"""The panel with the Python code of each version of Slicer in turn.

    SLICER_SOURCES=/path/to/checkouts pytest tests/slicer/test_versions.py

Each folder there is a checkout of Slicer, such as `v5.4.0` (docs/slicer_versions.md). A version is
a run of all tests of the panel in a process of its own, with `SLICER_SOURCE` set to its folder.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

VARIABLE = "SLICER_SOURCES"
HERE = Path(__file__).parent


def checkouts() -> list[Path]:
    folder = os.environ.get(VARIABLE)
    return sorted(Path(folder).glob("*/Base/Python/slicer")) if folder else []


@pytest.mark.slow
@pytest.mark.skipif(not checkouts(), reason=f"{VARIABLE} names no folder with checkouts of Slicer")
@pytest.mark.parametrize("package", checkouts(), ids=lambda path: path.parents[2].name)
def test_the_panel_works_with(package, tmp_path):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    command += ["-m", "gui and not server", str(HERE)]
    variables = {**os.environ, "SLICER_SOURCE": str(package.parents[2]), "HOME": str(tmp_path)}
    variables.pop(VARIABLE)
    result = subprocess.run(
        command, cwd=HERE.parents[1], env=variables, capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stdout[-6000:]
    left = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert not left, f"the tests left files in the home: {left}"
