"""Changed files are read or refused in one line; what was found once stays refused."""

from pathlib import Path

import pytest
from fuzz_readers import (
    DATA,
    GUIDED,
    TARGETS,
    Finding,
    _functions,
    check,
    fuzz,
    parts_of,
    run,
    seeds_of,
)  # fmt: skip

FOUND = sorted((DATA / "found").glob("*"))


@pytest.mark.parametrize("target", TARGETS)
def test_seeds_are_good_and_changes_are_survived(target, tmp_path):
    for content in seeds_of(target):
        check(content)
        parts = parts_of(content)
        assert len(parts) > 3 and b"".join(parts) == content
    assert fuzz(target, 0.3, tmp_path) > 0


@pytest.mark.slow
@pytest.mark.parametrize("target", TARGETS)
def test_a_minute_of_changes(target, tmp_path):
    status, said = run(target, tmp_path, "--seed", "1")
    assert status == 0, said


@pytest.mark.slow
@pytest.mark.parametrize("file", FOUND, ids=lambda file: file.name)
def test_what_was_found_stays_mended(file: Path, tmp_path):
    """Read with the memory that a reader may have."""
    status, said = run("jpeg", tmp_path, "--only", str(file))
    assert status == 0, said


def test_readers_are_watched_and_nothing_else():
    """Those that atheris is led by; it need not be here."""
    watched = _functions(GUIDED)
    names = {f"{one.__module__}.{one.__qualname__}" for one in watched}
    assert "xr2mri_core.transforms.radiograph_file.read_stream" in names and len(watched) > 500
    assert {one.__module__.split(".")[0] for one in watched} <= {
        name.split(".")[0] for name in GUIDED
    }


def test_a_fault_of_a_reader_is_found(monkeypatch):
    monkeypatch.setattr("fuzz_readers.CPU_SECONDS", -1.0)
    with pytest.raises(Finding, match="0 s"):
        check(seeds_of("png")[0])
