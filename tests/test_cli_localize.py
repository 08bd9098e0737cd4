"""`xr2mri localize` on the command line: its short form, what it refuses, what it leaves behind."""

import os
from pathlib import Path

import pytest
from PIL import Image

from xr2mri_core.cli import main
from xr2mri_core.cli.localize import spelled_out


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        ("localize x.png", "localize find x.png"),
        ("--debug localize x.png", "--debug localize find x.png"),
        ("localize --out y x.png", "localize find --out y x.png"),
        ("--debug localize score", "--debug localize score"),
        ("localize --help", "localize --help"),
        ("localize", "localize"),
        ("generate --name localize x", "generate --name localize x"),
        ("--debug", "--debug"),
    ],
)
def test_the_action_find_may_be_left_out(given, meant):
    assert spelled_out(given.split()) == meant.split()


def test_find_behind_debug(radiograph, tmp_path):
    assert main(["--debug", "localize", str(radiograph), "--out", str(tmp_path / "b.json")]) == 0
    assert (tmp_path / "b.json").exists()


@pytest.mark.parametrize("option", ["--out", "--picture"])
def test_a_folder_is_no_output(option, radiograph, tmp_path, capsys):
    folder = tmp_path / "folder"
    folder.mkdir()
    assert main(["localize", "find", str(radiograph), option, str(folder)]) == 1
    error = capsys.readouterr().err
    assert "is a folder; give the name of a file" in error and "unexpected" not in error


def test_outputs_are_whole_or_absent(radiograph, tmp_path, monkeypatch, capsys):
    def full(image, path, **options):
        Path(path).write_bytes(b"half a picture")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    out = tmp_path / "out" / "boxes.png"
    assert main(["localize", str(radiograph), "--picture", str(out)]) == 1
    assert "No space left" in capsys.readouterr().err and os.listdir(out.parent) == []


def test_score_looks_at_its_output_first(tmp_path, capsys):
    given = ["localize", "score", "--datalist", str(tmp_path / "gone.json"), "--out", str(tmp_path)]
    assert main(given) == 1
    assert "is a folder" in capsys.readouterr().err


def test_score_of_nothing_is_refused(capsys):
    assert main(["localize", "score"]) == 2
    printed = capsys.readouterr()
    assert printed.out == "" and "--films, --crops, --boxes or --datalist" in printed.err


@pytest.mark.parametrize("action", ["films", "score"])
def test_one_leg_is_too_few(action, tmp_path, capsys):
    assert main(["localize", action, "--out", str(tmp_path / "x"), "--legs", "1"]) == 2
    assert "'1' is not an integer >= 2" in capsys.readouterr().err
