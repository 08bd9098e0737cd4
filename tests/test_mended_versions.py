"""What stands in constraints.txt holds the versions in which known holes were mended.

`make audit` asks an advisory database for the rest; it needs network. Here stand the packages that
parse what strangers send, or that guard it.
"""

import re
import subprocess
from pathlib import Path

import pytest
from packaging.version import Version

MENDED = {
    "aiohttp": ("3.12.14", "CVE-2025-53643"),
    "cryptography": ("44.0.1", "CVE-2024-12797"),
    "fonttools": ("4.60.2", "CVE-2025-66034"),
    "gunicorn": ("23.0.0", "CVE-2024-6827"),
    "h11": ("0.16.0", "CVE-2025-43859"),
    "jinja2": ("3.1.6", "CVE-2025-27516"),
    "monai": ("1.5.1", "CVE-2025-58757"),
    "pillow": ("11.3.0", "CVE-2025-48379"),
    "protobuf": ("6.31.1", "CVE-2025-4565"),
    "pyjwt": ("2.10.1", "CVE-2024-53861"),
    "python-multipart": ("0.0.18", "CVE-2024-53981"),
    "requests": ("2.32.4", "CVE-2024-47081"),
    "setuptools": ("78.1.1", "CVE-2025-47273"),
    "starlette": ("0.49.1", "CVE-2025-62727"),
    "torch": ("2.6.0", "CVE-2025-32434"),
    "urllib3": ("2.6.0", "CVE-2025-66418"),
    "werkzeug": ("3.0.6", "CVE-2024-49767"),
}
HOUSE = Path(__file__).resolve().parents[1]
CONSTRAINTS = HOUSE / "constraints.txt"
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE))


@pytest.mark.parametrize("package", MENDED)
def test_a_known_hole_is_mended(package):
    version, advisory = MENDED[package]
    assert Version(PINNED[package]) >= Version(version), advisory


def test_what_the_reading_box_and_its_readers_need_is_pinned():
    needed = {"landlock", "numpy", "nibabel", "pillow", "pydicom", "pylibjpeg",
              "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pynrrd"}  # fmt: skip
    assert needed <= PINNED.keys()


@pytest.mark.parametrize(
    ("there", "status", "said"),
    [
        (False, None, "cannot be had: nothing was checked"),
        (True, 1, "a version above has a known hole"),
        (True, 0, ""),
    ],
)
def test_an_audit_that_checks_nothing_fails_and_says_so(tmp_path, there, status, said):
    """With a `uv` that has no network, and one whose audit ends so."""
    uv = tmp_path / "uv"
    version = f'case "$*" in *--version*) exit {0 if there else 2};; esac'
    uv.write_text(f"#!/bin/sh\n{version}\necho audited\nexit {status}\n")
    uv.chmod(0o755)
    words = ["make", "-s", "-o", ".venv/.installed", f"BIN={tmp_path}", "audit"]
    done = subprocess.run(words, cwd=HOUSE, capture_output=True, text=True, check=False)
    assert (done.returncode == 0) is (status == 0), done.stderr
    assert said in done.stderr and ("audited" in done.stdout) is there
    if not said:
        assert not done.stderr
