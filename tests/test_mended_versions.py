"""What stands in constraints.txt holds the versions in which known holes were mended.

`make audit` asks an advisory database for the rest; it needs network. Here stand the packages that
parse what strangers send, or that guard it.
"""

import re
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
CONSTRAINTS = Path(__file__).resolve().parents[1] / "constraints.txt"
PINNED = dict(re.findall(r"^([\w.-]+)==(\S+)$", CONSTRAINTS.read_text(), re.MULTILINE))


@pytest.mark.parametrize("package", MENDED)
def test_a_known_hole_is_mended(package):
    version, advisory = MENDED[package]
    assert Version(PINNED[package]) >= Version(version), advisory


def test_what_the_reading_box_and_its_readers_need_is_pinned():
    needed = {"landlock", "numpy", "nibabel", "pillow", "pydicom", "pylibjpeg",
              "pylibjpeg-libjpeg", "pylibjpeg-openjpeg", "pynrrd"}  # fmt: skip
    assert needed <= PINNED.keys()
