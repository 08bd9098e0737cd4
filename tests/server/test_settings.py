"""Options of the app: read from `--conf`, refused in one line, documented."""

from dataclasses import fields
from pathlib import Path

import pytest

from monai_app.lib.settings import Settings
from xr2mri_core.errors import InputError

DOCS = Path(__file__).parents[2] / "monai_app" / "docs" / "server.md"


@pytest.fixture
def app(tmp_path):
    """An app folder with two bundles, and something that is none."""
    for name in ("knee_xr2mri", "other", "notes"):
        (tmp_path / "model" / name / "configs").mkdir(parents=True)
    for name in ("knee_xr2mri", "other"):
        for config in ("inference", "compact", "student", "volume"):
            content = (
                "model:\n  a: 1\n" if config in ("compact", "student") else "+model:\n  b: 2\n"
            )
            (tmp_path / "model" / name / "configs" / f"{config}.yaml").write_text(content)
    return tmp_path


def test_every_bundle_beside_the_shipped_one_is_offered(app):
    settings = Settings.from_conf({}, app)
    assert sorted(settings.bundles) == ["knee_xr2mri", "other"]
    assert (settings.batch_size, settings.device) == (None, None)


def test_options_are_read(app):
    given = {"models": "other", "device": "cuda:1", "batch_size": "4"}
    settings = Settings.from_conf(given, app)
    assert list(settings.bundles) == ["other"] and settings.device == "cuda:1"
    assert settings.batch_size == 4


def test_options_come_from_the_environment_too(app, monkeypatch):
    for name, value in (("DEVICE", "cuda:1"), ("MODELS", "other"), ("TRAIN_DIR", "/srv/runs")):
        monkeypatch.setenv(f"XR2MRI_{name}", value)
    settings = Settings.from_conf({"device": "cpu", "size": "student"}, app)
    assert (settings.device, list(settings.bundles)) == ("cpu", ["other"])
    assert (settings.train_dir, settings.size) == (Path("/srv/runs"), "student")


def test_trainings_are_kept_in_the_folder_that_is_named(app):
    """In one called `runs` where the server is started, too, and not in the app's own."""
    for given in ("runs", "./runs", "/srv/runs"):
        assert Settings.from_conf({"train_dir": given}, app).train_dir == Path(given)
    assert Settings.from_conf({"train_dir": ""}, app).train_dir is None


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("models", "knee_xr2mri,nothing"),
        ("models", "../other"),
        ("batch_size", "-1"),
        ("batch_size", "²"),
        ("batch_size", "9" * 5000),
        ("precision", "int8"),
        ("size", "huge"),
        ("size", "../compact"),
        ("size", "volume"),
        ("size", "inference"),
    ],
)
def test_what_cannot_be_used_is_named(app, name, value):
    with pytest.raises(InputError, match=name):
        Settings.from_conf({name: value}, app)


def test_every_option_is_documented():
    text = DOCS.read_text("utf-8")
    for name in ("models", *(item.name for item in fields(Settings) if item.name != "bundles")):
        assert f"| `{name}` |" in text
