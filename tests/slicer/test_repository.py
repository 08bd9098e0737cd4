"""The repository that `make slicer-repository` writes, held to the rules of the ExtensionsIndex
(its `scripts/check_description_files.py`, read at 07f1d1b) as far as they need no network."""

from __future__ import annotations

import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
TOOL = ROOT / "slicer_extension" / "tools" / "repository.py"
OWNER, NAME = "eva-k", "SlicerXR2MRI"
MOST_MB = 100
PREFIX = "Slicer"
LICENSES = ("LICENSE", "LICENCE", "License.txt", "license.txt", "LICENSE.txt", "COPYING")
TOP = {"XR2MRI", "Docs", ".github", "CMakeLists.txt", "LICENSE", "README.md"}


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("repository", TOOL)
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    return code


def make(*words: str) -> subprocess.CompletedProcess:
    command = ["make", "slicer-repository", f"PYTHON={sys.executable}", *words]
    variables = {name: value for name, value in os.environ.items() if name != "OWNER"}
    return subprocess.run(
        command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def tree(tmp_path_factory) -> Path:
    """As `make slicer-repository` writes it."""
    out = tmp_path_factory.mktemp("repository") / NAME
    result = make(f"OWNER={OWNER}", f"REPOSITORY={out}")
    assert result.returncode == 0, result.stderr
    assert NAME in result.stdout and "3d-slicer-extension" in result.stdout
    return out


@pytest.fixture(scope="module")
def entry(tree) -> dict:
    content = tree.with_name("XR2MRI.json").read_bytes()
    assert b"\r" not in content, "the index wants LF line endings"
    return json.loads(content)


def setting(tree: Path, name: str) -> str:
    text = (tree / "CMakeLists.txt").read_text()
    return re.search(rf'set\(EXTENSION_{name} "([^"]+)"\)', text)[1]


def test_names_are_as_the_index_wants_them(tree, entry, tool):
    assert re.search(r"^project\((\w+)\)", (tree / "CMakeLists.txt").read_text(), re.M)[1] == (
        tree.with_name("XR2MRI.json").stem
    )
    repository = entry["scm_url"].rsplit("/", 1)[1].removesuffix(".git")
    assert repository == NAME == tool.NAME and repository.startswith(PREFIX)
    assert not "XR2MRI".lower().startswith("slicer"), "the extension's name must not"
    assert entry["scm_url"] == f"https://github.com/{OWNER}/{NAME}.git"
    assert entry["category"] == "Image Synthesis" and entry["tier"] in (1, 3, 5)
    assert tool.TOPIC == "3d-slicer-extension"


def test_addresses_are_of_pictures_in_the_tree(tree):
    raw = f"https://raw.githubusercontent.com/{OWNER}/{NAME}/main/"
    for url in [setting(tree, "ICONURL"), *setting(tree, "SCREENSHOTURLS").split()]:
        assert url.startswith(raw)
        assert (tree / url.removeprefix(raw)).read_bytes().startswith(b"\x89PNG")
    assert setting(tree, "HOMEPAGE") == f"https://github.com/{OWNER}/{NAME}"


def test_nothing_but_the_extension_is_in_it(tree):
    assert {path.name for path in tree.iterdir()} == TOP
    assert any((tree / name).is_file() for name in LICENSES)
    files = [path for path in tree.rglob("*") if path.is_file()]
    assert sum(path.stat().st_size for path in files) < MOST_MB * 1e6 / 10
    assert not [path for path in files if path.suffix in (".pyc", ".safetensors", ".whl")]
    for path in files:
        if path.suffix in (".md", ".py", ".txt", ".json", ".yml", ".ui"):
            text = path.read_text(encoding="utf-8")
            assert not re.search(r"github\S*/OWNER|@OWNER@", text), f"{path} names no account"


def test_the_module_downloads_from_the_same_account(tree):
    text = (tree / "XR2MRI" / "xr2mri_client" / "installation.py").read_text()
    assert f'\nOWNER = "{OWNER}"\n' in text
    assert 'return OWNER != "OWNER"' in text, "the check of a copy that was not written is kept"


def test_every_link_of_the_pages_leads_somewhere(tree):
    pages = [tree / "README.md", tree / "Docs" / "tutorial.md"]
    for page in pages:
        links = re.findall(r"\]\(([^)\s]+)\)", page.read_text())
        assert links
        for link in links:
            project = f"https://github.com/{OWNER}/xr2mri/blob/main/"
            if link.startswith(project):
                assert (ROOT / link.removeprefix(project)).is_file(), f"{page.name}: {link}"
            elif not link.startswith("https://"):
                assert (page.parent / link).is_file(), f"{page.name}: {link}"
    assert "not taken in the application" in pages[0].read_text().replace("\n", " ")
    assert "test harness" in pages[1].read_text()


def test_pictures_are_small(tree):
    pictures = list((tree / "Docs").glob("*.png"))
    assert len(pictures) >= 8
    assert [path.name for path in pictures if path.stat().st_size > 300_000] == []


def test_the_help_names_tutorial_and_questions(tree):
    text = (tree / "XR2MRI" / "XR2MRI.py").read_text()
    for page in re.findall(r'"/blob/main/([^"]+)"', text):
        assert (tree / page).is_file()
    assert f'/{{owner}}/{NAME}"' in text and '"/issues"' in text


def test_the_workflow_is_one(tree):
    """Its syntax, and that the files that it names are there: GitHub alone can run it."""
    (path,) = (tree / ".github" / "workflows").glob("*.yml")
    flow = yaml.safe_load(path.read_text())
    assert set(flow[True]) == {"push", "pull_request", "workflow_dispatch"}  # "on" is true in YAML
    for job in flow["jobs"].values():
        assert job["runs-on"] and job["steps"]
        for step in job["steps"]:
            assert ("uses" in step) != ("run" in step)
            if "run" in step:
                script = re.sub(r"\$\{\{.*?\}\}", "image", step["run"])
                result = subprocess.run(
                    ["bash", "-n", "-c", script], capture_output=True, check=False
                )
                assert result.returncode == 0, result.stderr
    named = re.findall(r"\b(XR2MRI/[\w/.*]*)", path.read_text())
    assert named and all(list(tree.glob(name)) for name in named)


def test_the_workflow_runs_in_versions_that_it_names_and_checks(tree):
    (path,) = (tree / ".github" / "workflows").glob("*.yml")
    job = yaml.safe_load(path.read_text())["jobs"]["slicer"]
    versions = job["strategy"]["matrix"]["version"]
    assert versions and all(re.fullmatch(r"5\.\d+\.\d+", version) for version in versions)
    _checkout, download, check, test = (step.get("run", "") for step in job["steps"])
    assert "version=${{ matrix.version }}" in download and "*Test.py" in test
    for version in versions:
        script = check.replace("${{ matrix.version }}", version)
        script = script.replace("xvfb-run -a slicer/Slicer --version", "echo Slicer $FOUND")
        for found, status in ((version, 0), ("5.0.3", 1), (f"1{version}", 1)):
            done = subprocess.run(
                ["bash", "-e", "-c", script], env={**os.environ, "FOUND": found}, check=False
            )
            assert done.returncode == status, found


def test_without_an_owner_it_says_what_to_set(tmp_path):
    result = make(f"REPOSITORY={tmp_path / NAME}")
    assert result.returncode != 0 and "set OWNER to the GitHub account" in result.stderr
    assert not (tmp_path / NAME).exists()


def test_no_address_is_left_of_nobody(tree):
    """Every host that is named for the extension is the owner's, in every file that holds text."""
    for path in [*tree.rglob("*"), tree.with_name("XR2MRI.json")]:
        if path.is_file() and path.suffix not in (".png", ".nrrd", ".qm"):
            text = path.read_text(encoding="utf-8")
            for account in re.findall(
                r"github(?:usercontent)?\.com/([\w@{}-]+)/\w*[Xx][Rr]2[Mm][Rr][Ii]", text
            ):
                assert account in (OWNER, "{owner}"), f"{path}: {account}"


@pytest.mark.parametrize("owner", ["", "OWNER", "a b", "-eva", "eva--k", "../up", "x" * 40])
def test_what_is_no_account_is_refused(tool, tmp_path, owner):
    with pytest.raises(SystemExit, match="no name of a GitHub account"):
        tool.write(owner, tmp_path / NAME)
    assert not (tmp_path / NAME).exists()


def test_a_folder_with_something_in_it_is_not_touched(tool, tmp_path):
    (tmp_path / "mine.txt").touch()
    with pytest.raises(SystemExit, match="is not empty"):
        tool.write(OWNER, tmp_path)


def test_the_tree_configures_and_its_tests_are_known(tree, tmp_path):
    from test_cmake import configured, listed, run

    printed = run("cmake", "--version").stdout
    version = re.search(r"version (\d+)\.(\d+)", printed)
    if version is None or tuple(map(int, version.groups())) < (3, 27):
        pytest.skip("no CMake of 3.27 or newer")
    printed = configured(tree, tmp_path / "build")
    assert printed.returncode == 0, printed.stderr
    tests = run("ctest", "-N", "--test-dir", tmp_path / "build").stdout
    assert "py_XR2MRISelfTest" in tests and "py_XR2MRIStartTest" in tests
    assert all((tree / "XR2MRI" / script).is_file() for script in listed("MODULE_PYTHON_SCRIPTS"))


@pytest.mark.gui
def test_the_runner_of_the_workflow_tells_what_failed(slicer, tmp_path, monkeypatch):
    runner = ROOT / "slicer_extension" / "XR2MRI" / "Testing" / "run_in_slicer.py"
    spec = importlib.util.spec_from_file_location("run_in_slicer", runner)
    code = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(code)
    monkeypatch.setattr(sys, "path", list(sys.path))
    head = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        "
    for name, body, status in (("Good", "pass", 0), ("Bad", "self.fail()", 1)):
        script = tmp_path / f"{name}Test.py"
        script.write_text(head + body + "\n")
        assert code.run(str(script)) == status
    (tmp_path / "EmptyTest.py").write_text("")
    assert code.run(str(tmp_path / "EmptyTest.py")) == 1, "no test is no success"
