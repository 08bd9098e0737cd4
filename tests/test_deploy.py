"""The examples for a container and for systemd name what there is. No image is built here."""

import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import fields
from ipaddress import ip_address, ip_network
from pathlib import Path, PurePath

import pytest
import yaml

from monai_app.lib.options import ENVIRONMENT_PREFIX
from monai_app.lib.security.settings import SecuritySettings
from monai_app.lib.settings import Settings
from xr2mri_core.cli import main

ROOT = Path(__file__).resolve().parents[1]
DEPLOY = ROOT / "monai_app" / "docs" / "deploy"
COMPOSE = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
SERVICE = (DEPLOY / "xr2mri.service").read_text()
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


def test_what_the_image_is_built_from_is_there_and_is_enough_for_the_wheel():
    copied = [
        name
        for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE)
        for name in line.split()[:-1]
    ]
    assert copied and all((ROOT / name).exists() for name in copied)
    ignored = (ROOT / ".dockerignore").read_text().split()
    assert not {name.split("/")[0] for name in copied} & set(ignored)
    needed = {"constraints.txt", "pyproject.toml", "README.md", "xr2mri_core", "monai_app"}
    assert {Path(name).name for name in copied} >= {*needed, "xr2mri_client"}


def test_the_variables_are_settings():
    settings = (*fields(SecuritySettings), *fields(Settings))
    known = {ENVIRONMENT_PREFIX + field.name.upper() for field in settings}
    named = set(re.findall(r"\bXR2MRI_[A-Z_]+", SERVICE + DOCKERFILE + str(COMPOSE)))
    assert named and named <= known


def test_the_composition_fits_together():
    services = COMPOSE["services"]
    build = services["xr2mri"]["build"]
    assert (DEPLOY / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert [name for name, service in services.items() if "ports" in service] == ["nginx"]
    assert COMPOSE["networks"]["inside"]["internal"] is True
    fixed = {
        name: ip_address(services[name]["networks"]["inside"]["ipv4_address"])
        for name in ("nginx", "xr2mri")  # which nginx looks for once, when it starts
    }
    assert services["xr2mri"]["environment"]["FORWARDED_ALLOW_IPS"] == str(fixed["nginx"])
    (pool,) = COMPOSE["networks"]["inside"]["ipam"]["config"]
    others = ip_network(pool["ip_range"])
    assert len(set(fixed.values())) == 2
    for address in fixed.values():
        assert address in ip_network(pool["subnet"]) and address not in others
    users = PurePath(services["xr2mri"]["environment"]["XR2MRI_USERS_FILE"])
    (folder,) = (mount.split(":") for mount in services["xr2mri"]["volumes"])
    assert folder[1] == str(users.parent)  # a file that is mounted alone stays what it was
    for name, service in services.items():
        assert set(service["networks"]) <= set(COMPOSE["networks"]), name
    assert (DEPLOY / services["nginx"]["volumes"][0].split(":")[0]).is_file()


def test_secrets_are_kept_out_of_images_and_wheels():
    """Whatever an administrator puts beside the examples is packed by nobody."""
    mounts = [m.split(":")[0] for s in COMPOSE["services"].values() for m in s.get("volumes", ())]
    ours = [m for m in mounts if m.startswith(".")]
    assert [name for name in ours if not (DEPLOY / name).is_file()] == []
    packed = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    names = [n for n in packed["package-data"]["monai_app"] if n.startswith("docs/deploy/")]
    listed = subprocess.run(["git", "ls-files", DEPLOY], cwd=ROOT, capture_output=True, text=True)
    assert {PurePath(n).name for n in names} >= {PurePath(n).name for n in listed.stdout.split()}
    assert not any("*" in name for name in names)


def test_a_wheel_has_nothing_of_an_earlier_build():
    said = subprocess.run(["make", "-n", "wheel"], cwd=ROOT, capture_output=True, text=True)
    assert 0 <= said.stdout.find("rm -rf build/lib") < said.stdout.find("pip wheel")


@pytest.mark.parametrize(
    "words",
    [
        [*re.findall(r'"([^"]+)"', DOCKERFILE.split("ENTRYPOINT")[1])],
        SERVICE.split("ExecStart=")[1].splitlines()[0].split(),
    ],
    ids=["container", "service"],
)
def test_the_commands_are_accepted(words, capsys):
    assert Path(words[0]).name == "xr2mri"
    assert main([*words[1:], "--help"]) == 0 and "--studies" in capsys.readouterr().out


def test_the_service_may_write_what_a_fine_tuning_makes():
    """A path with `-` before it that is not there is not writable, and nothing says so."""
    writable = re.findall(r"^ReadWritePaths=(.*)$", SERVICE, re.M)
    assert writable == ["/opt/xr2mri/monai_app/model/knee_xr2mri/models"]
    assert (DEPLOY.parents[2] / writable[0].removeprefix("/opt/xr2mri/")).is_dir()
    state = re.search(r"^StateDirectory=(.*)$", SERVICE, re.M)[1]
    assert f" --conf train_dir /var/lib/{state}\n" in SERVICE


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="no systemd here")
def test_systemd_takes_the_unit(tmp_path):
    unit = tmp_path / "xr2mri.service"
    unit.write_text(SERVICE.replace("/opt/xr2mri/.venv/bin/xr2mri", sys.executable))
    said = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True)
    ours = [line for line in said.stderr.splitlines() if "xr2mri" in line]
    assert not [line for line in ours if "Unknown" in line or "Failed" in line], said.stderr
