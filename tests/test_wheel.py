"""What `pip install xr2mri` gives, far from any checkout: commands, app, bundle and weights.

The wheel is built here and unpacked into an environment whose other packages are those of this
one, so that nothing is fetched; that its declared dependencies suffice, `test_house` holds.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import sysconfig
import time
import venv
import zipfile
from pathlib import Path

import nibabel as nib
import pytest
import requests
from built_wheel import built

from xr2mri_client.programs import free_port

ROOT = Path(__file__).resolve().parents[1]


class Installed:
    """An environment with the wheel.

    Attributes:
        folder: the environment.
        elsewhere: a folder that has nothing to do with the project, where commands run.
        names: of the files in the wheel.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.elsewhere = folder / "environment", folder / "elsewhere"
        self.elsewhere.mkdir()
        wheel = built(folder)
        with zipfile.ZipFile(wheel) as archive:
            self.names = set(archive.namelist())
        venv.create(self.folder, symlinks=True)
        # their folder alone: what is installed "editable" there would bring this checkout back
        others = f"{self.packages.relative_to(self.folder)}/others.pth"
        (self.folder / others).write_text(f"{sysconfig.get_path('purelib')}\n")
        pip = [sys.executable, "-m", "pip", "--python", str(self.folder / "bin" / "python")]
        quietly = ["--quiet", "--no-deps", "--no-index", "--no-compile"]
        subprocess.run([*pip, "install", *quietly, str(wheel)], check=True)

    @property
    def packages(self) -> Path:
        return next((self.folder / "lib").glob("python*/site-packages"))

    def run(self, *words: str) -> str:
        """What a command of the environment prints, on either stream."""
        environment = {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
        done = subprocess.run(
            [str(self.folder / "bin" / words[0]), *words[1:]],
            cwd=self.elsewhere,
            env={**environment, "HOME": str(self.elsewhere)},
            capture_output=True,
            text=True,
            timeout=1200,
        )
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-2000:]
        return done.stdout.strip()


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Installed:
    return Installed(tmp_path_factory.mktemp("wheel"))


def test_the_wheel_has_programs_app_bundle_and_client_and_nothing_else(installed):
    tops = {name.split("/")[0] for name in installed.names}
    assert {top for top in tops if not top.endswith(".dist-info")} == {
        "xr2mri_core", "xr2mri_client", "monai_app",
    }  # fmt: skip
    bundle = "monai_app/model/knee_xr2mri"
    tracked = subprocess.run(
        ["git", "ls-files", "xr2mri_core", "monai_app"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    ).stdout.split()  # fmt: skip
    if tracked:  # of a checkout: whatever is added there must not be missing here
        assert set(tracked) <= installed.names
    for name in ("configs/inference.yaml", "configs/metadata.json", "docs/README.md"):
        assert f"{bundle}/{name}" in installed.names
    assert f"{bundle}/models/knee_xr2mri.safetensors" in installed.names
    assert "xr2mri_core/constraints.txt" in installed.names


def test_the_folder_of_the_app_is_printed_for_monai_label(installed):
    app = Path(installed.run("xr2mri", "app"))
    assert app == installed.packages / "monai_app" and (app / "main.py").is_file()


def test_a_volume_is_generated_from_anywhere(installed, radiograph):
    words = ["--radiograph", str(radiograph), "--slices", "2", "--steps", "1", "--out", "volume"]
    installed.run("xr2mri", "generate", *words)
    assert nib.load(installed.elsewhere / "volume/generated_sample.nii.gz").shape == (256, 2, 256)


@pytest.mark.slow
def test_the_bundle_alone_runs_by_monais_command_from_anywhere(installed, radiograph):
    bundle = installed.elsewhere / "unzipped" / "knee_xr2mri"
    packed = shutil.make_archive(
        str(installed.elsewhere / "knee_xr2mri"),
        "zip",
        ROOT / "monai_app" / "model",
        "knee_xr2mri",
    )
    shutil.unpack_archive(packed, bundle.parent)
    installed.run(
        "python", "-m", "monai.bundle", "run",
        "--bundle_root", str(bundle),
        "--config_file", str(bundle / "configs" / "inference.yaml"),
        "--radiograph", str(radiograph),
        "--num_slices", "2", "--output_dir", "of_bundle",
    )  # fmt: skip
    image = nib.load(installed.elsewhere / "of_bundle" / "generated_sample.nii.gz")
    assert image.shape == (256, 2, 256)


@pytest.mark.slow
def test_the_server_starts_from_anywhere(installed):
    port = free_port()
    server = subprocess.Popen(
        [str(installed.folder / "bin" / "xr2mri"), "serve", "--studies", ".", "--port", str(port)],
        cwd=installed.elsewhere,
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
    )
    try:
        for _ in range(3000):
            assert server.poll() is None
            try:
                info = requests.get(f"http://127.0.0.1:{port}/info/", timeout=5).json()
                break
            except requests.ConnectionError:
                time.sleep(0.1)
        assert list(info["models"]) == ["knee_xr2mri"]
        assert info["models"]["knee_xr2mri"]["weights"]["sha256"]
        server.send_signal(signal.SIGINT)
        assert server.wait(60) == 0
    finally:
        server.kill()
    assert not (installed.packages / "monai_app" / "logs").exists()


@pytest.mark.slow
def test_the_demo_runs_from_anywhere(installed):
    result = installed.run("xr2mri", "demo", "--out", "demo")
    assert "$ monailabel start_server" in result and "SSIM" in result
    assert nib.load(installed.elsewhere / "demo/generated_mean.nii.gz").shape == (256, 50, 256)
    assert not (installed.packages / "monai_app" / "logs").exists()
