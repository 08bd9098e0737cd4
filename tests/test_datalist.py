"""The datalist of pairs."""

import errno
import json
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xr2mri_core.datalist import (
    SPLITS,
    load_datalist,
    save_datalist,
    split_by_participant,
    splits_of,
)
from xr2mri_core.errors import DatalistError, OutputError


def item(folder: Path, case: str, participant: str, **more):
    paths = {key: folder / "data" / f"{case}_{key}" for key in ("radiograph", "mri")}
    for path in paths.values():
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return {"case": case, "participant": participant, **paths, **more}


@pytest.fixture
def datalist(tmp_path):
    splits = {
        "training": [item(tmp_path, "a", "p1", features={"kl_grade": 2}, laterality="left")],
        "validation": [item(tmp_path, "b", "p2")],
        "test": [item(tmp_path, "c", "p3"), item(tmp_path, "d", "p3")],
    }
    return save_datalist(tmp_path / "list.json", splits, "two", "made up", synthetic=True)


def change(path: Path, edit) -> Path:
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))
    return path


def test_saved_and_loaded(datalist):
    content = json.loads(datalist.read_text())
    assert content["synthetic"] is True and content["name"] == "two"
    assert content["training"][0]["mri"] == "data/a_mri"
    (training,) = load_datalist(datalist, "training")
    assert training["features"] == {"V00XRKL": 2} and training["laterality"] == "L"
    assert Path(training["radiograph"]).is_absolute() and Path(training["radiograph"]).exists()
    assert [entry["case"] for entry in load_datalist(datalist)] == list("abcd")
    assert load_datalist(datalist, "test")[1]["features"] == {}


def test_a_datalist_moves_with_its_files(datalist, tmp_path):
    moved = tmp_path.parent / f"{tmp_path.name}_moved"
    tmp_path.rename(moved)
    assert Path(load_datalist(moved / "list.json", "test")[0]["mri"]).parent == moved / "data"
    moved.rename(tmp_path)


def test_a_byte_order_mark_and_half_a_character(datalist):
    loaded = {split: load_datalist(datalist, split) for split in SPLITS}
    save_datalist(datalist, loaded, "half \ud800", "ж")
    datalist.write_bytes(b"\xef\xbb\xbf" + datalist.read_bytes())
    assert json.loads(datalist.read_text("utf-8-sig"))["name"] == "half \ud800"
    assert {split: load_datalist(datalist, split) for split in SPLITS} == loaded


def test_saving_what_was_loaded_changes_nothing(datalist):
    before = json.loads(datalist.read_text())
    loaded = {split: load_datalist(datalist, split) for split in SPLITS}
    save_datalist(datalist, loaded, "two", "made up", synthetic=True)
    after = json.loads(datalist.read_text())
    assert before["training"] == after["training"]
    assert [entry["mri"] for entry in after["test"]] == [entry["mri"] for entry in before["test"]]


@pytest.mark.parametrize(
    ("edit", "message"),
    [
        (lambda c: c["training"][0].pop("mri"), "mri is missing"),
        (lambda c: c["training"][0].update(mri="gone"), "does not exist"),
        (lambda c: c["training"][0].update(mri=3), "give a text"),
        (lambda c: c["training"][0].update(mri="a" * 5000), "mri 'aaa.*cannot be looked at .File"),
        (lambda c: c["training"][0].update(mri="a\0b"), "does not exist"),
        (lambda c: c["training"][0].update(radiograph="/dev/zero"), "a pipe or a device"),
        (lambda c: c["training"][0].update(box="abc"), "box 'abc' is not four numbers"),
        (lambda c: c["training"][0].update(box=[10**400, 0, 1, 1]), "not four numbers"),
        (lambda c: c["training"][0].update(box=[0, 0, 1]), "not four numbers"),
        (lambda c: c["training"][0].update(window="x"), "window 'x': give start and stop"),
        (lambda c: c["training"][0].update(window=[5, 5]), "give start and stop"),
        (lambda c: c["training"][0].update(window=[0, 1.5]), "give start and stop"),
        (lambda c: c["training"][0].update(case="../../x"), "case '../../x' cannot name a file"),
        (lambda c: c["training"][0].update(case="/etc/x"), "cannot name a file"),
        (lambda c: c["training"][0].update(case="a\\..\\b"), "cannot name a file"),
        (lambda c: c["training"][0].update(laterality="up"), "R, L and auto"),
        (lambda c: c["training"][0].update(features={"kl_grade": 9}), "V00XRKL"),
        (lambda c: c["training"][0].update(participant="p3"), "split by participant"),
        (lambda c: c["training"][0].update(case="c"), "listed twice"),
        (lambda c: c.update(training={}), "must be a list"),
        (lambda c: c["training"].append("x"), "is no item"),
        (lambda c: c["training"].clear(), "no items"),
        (lambda c: [c.pop(split) for split in SPLITS], "none of the lists"),
    ],
)
def test_a_malformed_datalist_is_refused(datalist, edit, message):
    with pytest.raises(DatalistError, match=message):
        load_datalist(change(datalist, edit), "training")


def test_a_file_that_may_not_be_looked_at_is_named(datalist, monkeypatch):
    def fails(path, *_, **__):
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "exists", fails)
    with pytest.raises(DatalistError, match=r"radiograph .* cannot be looked at .Permission"):
        load_datalist(datalist)


@pytest.mark.parametrize("content", ["", "[]", "3", "{", '{"a": NaN'])
def test_what_is_no_datalist_is_refused(tmp_path, content):
    (tmp_path / "list.json").write_text(content)
    with pytest.raises(DatalistError, match=r"list\.json"):
        load_datalist(tmp_path / "list.json")


def test_missing_file_folder_and_unknown_split(datalist, tmp_path):
    with pytest.raises(DatalistError, match="no such file"):
        load_datalist(tmp_path / "other.json")
    with pytest.raises(DatalistError):
        load_datalist(tmp_path)
    with pytest.raises(DatalistError, match="accepted are training"):
        load_datalist(datalist, "train")


def test_saving_refuses_and_leaves_nothing(tmp_path):
    both = {"training": [item(tmp_path, "a", "p")], "test": [item(tmp_path, "b", "p")]}
    for wrong in (both, {"train": []}, {"test": [{"case": "a"}]}):
        with pytest.raises(DatalistError):
            save_datalist(tmp_path / "list.json", wrong, "x")
    (tmp_path / "file").touch()
    with pytest.raises(OutputError):
        save_datalist(tmp_path / "file" / "list.json", {}, "x")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["data", "file"]


@given(
    st.lists(st.tuples(st.integers(0, 40), st.integers(0, 3)), unique=True),
    st.integers(0, 5),
    st.randoms(),
)
def test_no_participant_is_in_two_splits(visits, seed, random):
    items = [{"case": f"{p}.{v}", "participant": f"{p}"} for p, v in visits]
    splits = split_by_participant(items, seed=seed)
    people = [{entry["participant"] for entry in splits[split]} for split in SPLITS]
    assert all(not one & other for one, other in [*pairwise(people), (people[0], people[2])])
    assert sum(map(len, splits.values())) == len(items)
    random.shuffle(items)
    again = split_by_participant(items, seed=seed)
    assert [{e["participant"] for e in again[split]} for split in SPLITS] == people


def test_the_ratio_and_the_seed():
    items = [{"participant": f"p{n}"} for n in range(100)]
    splits = split_by_participant(items)
    assert [len(splits[split]) for split in SPLITS] == [70, 20, 10]
    assert split_by_participant(items, seed=1) != splits
    assert split_by_participant(items, (0, 0, 1))["test"] == items


def test_whoever_has_a_split_keeps_it_when_others_come(tmp_path):
    items = [{"case": f"c{n}", "participant": f"p{n:03d}"} for n in range(60)]
    paths = [{**one, "radiograph": "r", "mri": "m"} for one in items]
    file = save_datalist(tmp_path / "list.json", split_by_participant(paths[::2]), "a", "drawn so.")
    kept = splits_of(file, "drawn so.")
    assert sorted(kept) == [one["participant"] for one in items[::2]]
    splits = split_by_participant(items, kept=kept)
    now = {one["participant"]: split for split in SPLITS for one in splits[split]}
    assert now.items() >= kept.items() and [len(splits[s]) for s in SPLITS] == [42, 12, 6]
    assert splits_of(file, "drawn otherwise") == splits_of(tmp_path / "none.json") == {}
    file.write_text("[]")
    with pytest.raises(DatalistError, match=r"list\.json"):
        splits_of(file)


@pytest.mark.parametrize("ratios", [(1, 2), (0, 0, 0), (1, -1, 1), (1, 1, float("nan"))])
def test_wrong_ratios_are_refused(ratios):
    with pytest.raises(DatalistError, match="three numbers"):
        split_by_participant([{"participant": "p"}], ratios)
