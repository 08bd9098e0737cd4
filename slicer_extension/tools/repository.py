"""Write the extension's repository as Slicer's index wants it: `make slicer-repository OWNER=...`.

    python slicer_extension/tools/repository.py OWNER build/SlicerXR2MRI

The tree has the extension, its licence, README, tutorial, pictures, tests and workflow, and nothing
else. `XR2MRI.json` beside it is the entry for a pull request to the index.
"""

from __future__ import annotations

import argparse
import re
import shutil
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
EXTENSION = ROOT / "slicer_extension"
NAME, TOPIC = "SlicerXR2MRI", "3d-slicer-extension"
LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.pyc", ".*")
PLACEHOLDER = "OWNER"


def write(owner: str, out: Path) -> None:
    """Write the tree into a folder that is not there or is empty.

    Args:
        owner: the GitHub account that the repository will belong to.
        out: the folder.

    Raises:
        SystemExit: the owner is no account's name, or the folder holds something.
    """
    if owner == PLACEHOLDER or not re.fullmatch(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}", owner):
        raise SystemExit(
            f"'{owner}' is no name of a GitHub account: letters, digits, single hyphens, as in "
            "make slicer-repository OWNER=jane-doe"
        )
    if out.exists() and any(out.iterdir()):
        raise SystemExit(f"{out} is not empty; remove it first")
    shutil.copytree(EXTENSION / "XR2MRI", out / "XR2MRI", ignore=LEFT_OUT)
    shutil.copytree(EXTENSION / "repository", out, dirs_exist_ok=True)
    shutil.copy(ROOT / "LICENSE", out / "LICENSE")
    _write_tutorial(owner, out / "Docs")
    _write_root(owner, out)
    template = out / "README.md.in"  # its links hold in the tree that is written
    text = template.read_text(encoding="utf-8").replace("@OWNER@", owner)
    (out / "README.md").write_text(text, encoding="utf-8")
    template.unlink()
    installation = out / "XR2MRI" / "xr2mri_client" / "installation.py"
    _replace(installation, f'OWNER = "{PLACEHOLDER}"', f'OWNER = "{owner}"')
    entry = (EXTENSION / "XR2MRI.json").read_text(encoding="utf-8")
    entry = entry.replace(f"{PLACEHOLDER}/xr2mri", f"{owner}/{NAME}")
    out.with_name("XR2MRI.json").write_text(entry, encoding="utf-8")


def _write_tutorial(owner: str, docs: Path) -> None:
    """The tutorial and the pictures that it shows; other pages are read at the project."""
    docs.mkdir()
    text = (ROOT / "docs" / "tutorial.md").read_text(encoding="utf-8")
    for picture in {*re.findall(r"\]\(([^)]+\.png)\)", text), "slicer_module.png"}:
        (docs / picture).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "docs" / picture, docs / picture)
    pages = f"https://github.com/{owner}/xr2mri/blob/main/docs/"
    text = re.sub(r"\]\((?!https?:)([^)]+\.md)", rf"]({pages}\1", text)
    (docs / "tutorial.md").write_text(text, encoding="utf-8")


def _write_root(owner: str, out: Path) -> None:
    """The root CMakeLists.txt, with the addresses of this repository."""
    text = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
    text = text.replace("slicer_extension/XR2MRI/Resources", "XR2MRI/Resources")
    text = text.replace("add_subdirectory(slicer_extension/XR2MRI)", "add_subdirectory(XR2MRI)")
    text = text.replace("main/docs/", "main/Docs/").replace(
        f"{PLACEHOLDER}/xr2mri", f"{owner}/{NAME}"
    )
    (out / "CMakeLists.txt").write_text(text, encoding="utf-8")


def _replace(path: Path, old: str, new: str) -> None:
    text = path.read_text(encoding="utf-8")
    if old not in text:
        raise SystemExit(f"{path} has no line {old}")
    path.write_text(text.replace(old, new), encoding="utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("owner", help="the GitHub account that the repository will belong to")
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    write(given.owner, given.out)
    size = sum(path.stat().st_size for path in given.out.rglob("*") if path.is_file())
    print(f"{given.out}: {size / 1e6:.1f} MB. On GitHub, call it {NAME}, with the topic {TOPIC};")
    print(f"then propose {given.out.with_name('XR2MRI.json')} to Slicer/ExtensionsIndex.")


if __name__ == "__main__":
    main()
