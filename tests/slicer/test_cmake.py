"""The lists of CMake against the tree, and the rules of the ExtensionsIndex that can be checked
here. The rules: https://github.com/Slicer/ExtensionsIndex (README, entry schema)."""

from __future__ import annotations

import ast
import contextlib
import json
import os
import re
import shutil
import struct
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "slicer_extension" / "XR2MRI"
CMAKE = (ROOT / "CMakeLists.txt").read_text(encoding="utf-8")
MODULE_CMAKE = (MODULE / "CMakeLists.txt").read_text(encoding="utf-8")
ENTRY = json.loads((ROOT / "slicer_extension" / "XR2MRI.json").read_text(encoding="utf-8"))
OFFERED = {"ctk", "numpy", "qt", "slicer", "vtk", "XR2MRILib", "xr2mri_client"}
"""What a module may import at file scope beside the standard library."""


def listed(variable: str) -> list[str]:
    """The files of a `set(VARIABLE ...)`."""
    words = re.search(rf"set\({variable}\s+(.*?)\)", MODULE_CMAKE, re.DOTALL)[1].split()
    return [word.replace("${MODULE_NAME}", "XR2MRI") for word in words]


def found(folder: Path, endings: set[str]) -> list[str]:
    files = (path for path in folder.rglob("*") if path.suffix in endings)
    return sorted(
        str(path.relative_to(MODULE)) for path in files if "__pycache__" not in path.parts
    )


def setting(name: str) -> str:
    return re.search(rf'set\({name} "([^"]*)"\)', CMAKE)[1]


def test_every_script_is_listed_once():
    scripts = listed("MODULE_PYTHON_SCRIPTS")
    packages = [*found(MODULE / "XR2MRILib", {".py"}), *found(MODULE / "xr2mri_client", {".py"})]
    assert sorted(scripts) == sorted(["XR2MRI.py", *packages])


def test_every_resource_is_listed_once():
    resources = listed("MODULE_PYTHON_RESOURCES")
    assert sorted(resources) == found(MODULE / "Resources", {".png", ".ui", ".nrrd", ".ts", ".qm"})
    everything = [path for path in (MODULE / "Resources").rglob("*") if path.is_file()]
    assert len(resources) == len(everything)


def test_every_test_script_is_run_by_ctest():
    folder = MODULE / "Testing" / "Python"
    listed_here = (folder / "CMakeLists.txt").read_text().replace("${MODULE_NAME}", "XR2MRI")
    scripts = re.findall(r"slicer_add_python_unittest\(SCRIPT (\S+)\)", listed_here)
    assert sorted(scripts) == sorted(path.name for path in folder.glob("*Test.py")) != []
    assert "add_subdirectory(Python)" in (MODULE / "Testing" / "CMakeLists.txt").read_text()
    assert "add_subdirectory(Testing)" in MODULE_CMAKE


def test_the_root_has_all_metadata():
    for name in (
        "HOMEPAGE",
        "CATEGORY",
        "CONTRIBUTORS",
        "DESCRIPTION",
        "ICONURL",
        "SCREENSHOTURLS",
    ):
        assert setting(f"EXTENSION_{name}")
    assert setting("EXTENSION_DEPENDS") == "NA"
    assert re.search(r"^project\(XR2MRI\)$", CMAKE, re.MULTILINE)
    assert "add_subdirectory(slicer_extension/XR2MRI)" in CMAKE
    last = ["${Slicer_EXTENSION_GENERATE_CONFIG}", "${Slicer_EXTENSION_CPACK}"]
    assert re.findall(r"include\((.*?)\)", CMAKE)[-2:] == last
    assert "WITH_GENERIC_TESTS" in MODULE_CMAKE


def test_the_entry_follows_the_schema():
    assert set(ENTRY) <= {
        "$schema", "category", "scm_url", "scm_revision", "scm_type", "build_dependencies",
        "build_subdirectory", "enabled", "tier",
    }  # fmt: skip
    assert {"$schema", "category", "scm_url", "scm_revision", "tier"} <= set(ENTRY)
    assert ENTRY["category"] == setting("EXTENSION_CATEGORY") == "Image Synthesis"
    assert re.fullmatch(r"https://\S+\.git", ENTRY["scm_url"])
    assert ENTRY["tier"] in (1, 3, 5) and ENTRY["build_dependencies"] == []
    assert not ENTRY["$schema"].startswith("http://")


def test_homepage_and_pictures_are_of_the_same_repository():
    repository = ENTRY["scm_url"].removesuffix(".git")
    assert setting("EXTENSION_HOMEPAGE") == repository
    raw = repository.replace("github.com", "raw.githubusercontent.com") + "/main/"
    assert setting("EXTENSION_ICONURL").startswith(raw)
    icon = ROOT / setting("EXTENSION_ICONURL").removeprefix(raw)
    width, height = struct.unpack(">2I", icon.read_bytes()[16:24])
    assert (width, height) == (128, 128)
    for url in setting("EXTENSION_SCREENSHOTURLS").split():
        assert url.startswith(raw) and (ROOT / url.removeprefix(raw)).is_file()


def test_the_package_is_small():
    files = [path for path in MODULE.rglob("*") if path.is_file() and path.suffix != ".pyc"]
    assert sum(path.stat().st_size for path in files) < 1.5e6
    samples = MODULE / "Resources" / "SampleData"
    assert sum(path.stat().st_size for path in samples.iterdir()) <= 1e6


@pytest.mark.parametrize("script", listed("MODULE_PYTHON_SCRIPTS"))
def test_imports_at_file_scope_are_what_slicer_has(script):
    for node in ast.parse((MODULE / script).read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module]
        else:
            continue
        tops = {name.split(".")[0] for name in names}
        assert tops <= OFFERED | set(sys.stdlib_module_names)


@pytest.mark.parametrize("script", listed("MODULE_PYTHON_SCRIPTS"))
def test_scripts_are_python_3_9(script):
    ast.parse((MODULE / script).read_text(encoding="utf-8"), feature_version=(3, 9))


def test_nothing_is_used_that_came_after_python_3_9(tmp_path):
    def newest(folder):
        command = [
            str(Path(sys.executable).with_name("vermin")),
            "-t=3.9-",
            "--no-tips",
            "--violations",
        ]
        return subprocess.run([*command, str(folder)], capture_output=True, text=True, check=False)

    found = newest(MODULE)
    assert found.returncode == 0, found.stdout
    (tmp_path / "newer.py").write_text("import itertools\nitertools.pairwise('ab')\n")
    assert newest(tmp_path).returncode == 1, "the check would not see itertools.pairwise (3.10)"


# --- CMake itself --------------------------------------------------------------------------------

STAND_IN = Path(__file__).with_name("cmake")


def run(program: str, *arguments: str | Path) -> subprocess.CompletedProcess:
    """CMake or CTest of this environment: the system's is often older than 3.27."""
    found = shutil.which(program, path=Path(sys.executable).parent) or shutil.which(program)
    command = [str(found), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def recent_cmake():
    """Skip where there is none that knows CMP0148 (3.27), or no compiler for it to look at."""
    printed = ""
    with contextlib.suppress(OSError):
        printed = run("cmake", "--version").stdout
    version = re.search(r"version (\d+)\.(\d+)", printed)
    if version is None or tuple(map(int, version.groups())) < (3, 27):
        pytest.skip("no CMake of 3.27 or newer")
    if not shutil.which("cc") or not shutil.which("c++"):
        pytest.skip("no compiler")


def configured(source: Path, build: Path) -> subprocess.CompletedProcess:
    slicer = f"-DSLICER_SOURCE={os.environ.get('SLICER_SOURCE', '')}"
    return run("cmake", "-S", source, "-B", build, f"-DSlicer_DIR={STAND_IN}", slicer)


def test_a_recent_cmake_configures_and_installs_the_extension(recent_cmake, tmp_path):
    result = configured(ROOT, tmp_path / "build")
    assert result.returncode == 0, result.stderr
    tests = re.findall(
        r"Test +#\d+: (\S+)", run("ctest", "-N", "--test-dir", tmp_path / "build").stdout
    )
    generic = "py_nomainwindow_qSlicerXR2MRIModuleGenericTest"
    assert sorted(tests) == sorted([generic, "py_XR2MRISelfTest", "py_XR2MRIStartTest"])
    result = run("cmake", "--install", tmp_path / "build", "--prefix", tmp_path / "package")
    assert result.returncode == 0, result.stderr
    package = tmp_path / "package" / "lib" / "Slicer" / "qt-scripted-modules"
    installed = {str(p.relative_to(package)) for p in package.rglob("*") if p.is_file()}
    assert installed == {*listed("MODULE_PYTHON_SCRIPTS"), *listed("MODULE_PYTHON_RESOURCES")}


def test_a_policy_range_up_to_329_would_not_configure(recent_cmake, tmp_path):
    """It sets CMP0148 to NEW, with which what Slicer finds Python by is gone."""
    source = tmp_path / "source"
    source.mkdir()
    wider = re.sub(r"VERSION 3\.16\.3\.\.\.[\d.]+", "VERSION 3.16.3...3.29", CMAKE)
    (source / "CMakeLists.txt").write_text(wider)
    (source / "slicer_extension").symlink_to(ROOT / "slicer_extension")
    result = configured(source, tmp_path / "build")
    assert wider != CMAKE and result.returncode != 0 and "PythonLibs" in result.stderr, (
        result.stderr
    )
