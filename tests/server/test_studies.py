"""The studies folder: ids that are never paths, and a folder that stays as it is."""

import asyncio
import errno
import os
import shutil
import time
import unicodedata
from pathlib import Path
from urllib.parse import urlencode

import pytest
from hypothesis import given
from hypothesis import strategies as st
from served_routes import everything

from monai_app.lib.json_text import Json
from monai_app.lib.routes import _OpenFile
from monai_app.lib.sources import IMAGE_ID
from monai_app.lib.studies import Studies
from xr2mri_core.errors import InputError, OutputError


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "studies"
    for name in ("a.png", "a.dcm", "case 7/radiograph.dcm", "case 7/mri.nii.gz", "IM0001"):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    return folder


def test_ids_come_from_names_and_are_no_paths(folder):
    ids = Studies(folder).list_images()
    assert ids[0] == "IM0001" and {"case-7.mri", "case-7.radiograph"} < set(ids)
    assert all(IMAGE_ID.fullmatch(image) for image in ids)
    assert Studies(folder).radiograph("case-7.radiograph").name == "radiograph.dcm"


def test_an_id_never_comes_to_mean_another_file(tmp_path):
    (tmp_path / "a.png").write_bytes(b"one patient")
    studies = Studies(tmp_path)
    assert studies.list_images() == ["a"]
    (tmp_path / "a.dcm").write_bytes(b"another")
    ids = studies.list_images()
    assert len(set(ids)) == 2 and "a" not in ids and studies.radiograph("a") is None
    assert {studies.radiograph(image).suffix for image in ids} == {".png", ".dcm"}


def test_files_named_by_their_uid_are_dicom_files(tmp_path):
    (tmp_path / "1.2.840.113619.2.5").write_bytes(b"x")
    (tmp_path / "notes.txt").write_bytes(b"x")
    assert Studies(tmp_path).list_images() == ["1.2.840.113619.2.5"]


@pytest.mark.parametrize(
    ("name", "image"),
    [
        ("Колено Иванов.png", "Колено-Иванов"),
        ("Müller/knie.dcm", "Müller.knie"),
        (unicodedata.normalize("NFD", "Müller.png"), "Müller"),
        ("膝关节.jpg", "膝关节"),
        ("KNEE.DCM", "KNEE"),
        ("knee.Dicom", "knee"),
        ("00001.IMA", "00001"),
        ("knee.mha", "knee"),
        ("IM-0001-0001", "IM-0001-0001"),
        ("(1).png", "1"),
    ],
)
def test_ids_are_recognised_and_every_name_of_a_dicom_file_is_offered(tmp_path, name, image):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(b"x")
    studies = Studies(tmp_path)
    assert studies.list_images() == [image] and IMAGE_ID.fullmatch(image)
    assert studies.radiograph(image) == path
    assert studies.radiograph(unicodedata.normalize("NFD", image)) == path
    route = next(r for r in everything().routes if "image" in r.query)
    route.check_query(urlencode({"image": image}).encode())


@pytest.mark.parametrize("error", [errno.EACCES, errno.ESTALE, errno.EIO])
@pytest.mark.parametrize("cannot_be", ["searched", "listed"])
def test_a_folder_that_fails_costs_what_lies_in_it_and_is_told_once(
    folder, monkeypatch, caplog, error, cannot_be
):
    """Of another owner (mode 744), or on a network drive that has lost it."""

    def failing(call):
        def fails(path=".", *more, **options):
            if "case 7" in str(path) and str(path).endswith("7") is (cannot_be == "listed"):
                raise OSError(error, os.strerror(error), str(path))
            return call(path, *more, **options)

        return fails

    studies = Studies(folder)
    monkeypatch.setattr(Path, "stat", failing(Path.stat))
    monkeypatch.setattr(os, "scandir", failing(os.scandir))
    (folder / "case 7").chmod(0o750)  # its time changes
    assert studies.radiograph("case-7.radiograph") is None or cannot_be == "listed"
    (folder / "b.png").write_bytes(b"x")
    for at_hand in (studies, Studies(folder)):
        ids = set(at_hand.list_images())
        assert {"b", "IM0001"} < ids and not any(image.startswith("case") for image in ids)
        assert at_hand.refresh() is None and set(at_hand.list_images()) == ids
    assert caplog.text.count("case 7") == 2  # once by each


@pytest.mark.parametrize("name", ["DICOMDIR", "cd/dicomdir", "DICOMDIR.dcm", "VERSION", "LOCKFILE"])
def test_what_lies_on_a_dicom_disc_beside_the_pictures_is_passed_over(tmp_path, name):
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_bytes(b"x")
    (tmp_path / "IM0001").write_bytes(b"x")
    assert Studies(tmp_path).list_images() == ["IM0001"]


@pytest.mark.skipif(os.name != "posix", reason="names of bytes")
def test_a_name_that_is_no_text_gets_an_id(tmp_path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/kn\xe9.png"))
    path.write_bytes(b"x")
    (image,) = Studies(tmp_path).list_images()
    assert image.startswith("kn") and Studies(tmp_path).radiograph(image) == path
    image.encode("utf-8")


def test_a_file_that_becomes_a_link_is_gone(folder, tmp_path):
    studies, secret = Studies(folder), tmp_path / "secret"
    secret.write_bytes(b"x")
    assert studies.radiograph("IM0001") is not None
    (folder / "IM0001").unlink()
    (folder / "IM0001").symlink_to(secret)
    assert studies.radiograph("IM0001") is None and studies.get_image_uri("IM0001") == ""


def test_other_files_hidden_ones_and_links_out_of_the_folder_are_not_offered(folder, tmp_path):
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"x")
    os.symlink(secret, folder / "link.png")
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "b.png").write_bytes(b"x")
    (folder / "datalist.json").write_text("{}")
    ids = Studies(folder).list_images()
    assert not {"link", "b", "datalist"} & set(ids) and len(ids) == 5


def test_a_new_file_is_found_and_a_removed_one_gone(folder):
    studies = Studies(folder)
    (folder / "new.png").write_bytes(b"x")
    assert studies.radiograph("new") is not None
    (folder / "new.png").unlink()
    assert studies.radiograph("new") is None


@given(st.text(max_size=40))
def test_no_id_leads_out_of_the_folder(tmp_path_factory, image_id):
    folder = tmp_path_factory.getbasetemp() / "inner"
    folder.mkdir(exist_ok=True)
    (folder.parent / "outer.png").write_bytes(b"x")
    assert Studies(folder).radiograph(image_id) is None


def test_nothing_can_be_changed(folder):
    studies, before = Studies(folder), sorted(folder.rglob("*"))
    for attempt in (
        lambda: studies.add_image("b", "/etc/passwd", {}),
        lambda: studies.save_label("a", "/etc/passwd", "../x", {}),
        lambda: studies.remove_image("a"),
        lambda: studies.get_dataset_archive(None),
    ):
        with pytest.raises(OutputError, match="read only"):
            attempt()
    with pytest.raises(InputError, match="only a PACS"):
        studies.store([])
    assert sorted(folder.rglob("*")) == before


def test_a_folder_has_no_views_to_choose_among(folder):
    with pytest.raises(InputError, match="PACS"):
        Studies(folder).radiograph("a", view="PA")


def test_unknown_ids_do_not_have_every_file_looked_at_again(folder, monkeypatch):
    studies = Studies(folder)
    time.sleep(0.2)
    studies.refresh()
    looks = []
    monkeypatch.setattr(Studies, "_readable", lambda self, path: looks.append(path) or True)
    for number in range(50):
        assert studies.radiograph(f"unknown-{number}") is None
    assert not looks
    (folder / "case 7" / "later.png").write_bytes(b"x")
    assert studies.radiograph("case-7.later").name == "later.png" and looks


def test_one_new_file_has_one_folder_looked_at(tmp_path, monkeypatch):
    """Of 30,000 files, each new one had all looked at for 4 s, while all others waited."""
    for number in range(50):
        (tmp_path / f"{number}").mkdir()
        (tmp_path / f"{number}" / "knee.png").touch()
    studies = Studies(tmp_path)
    time.sleep(0.2)
    studies.refresh()
    looked, scandir = [], os.scandir
    monkeypatch.setattr(os, "scandir", lambda path: looked.append(path) or scandir(path))
    (tmp_path / "7" / "late.png").touch()
    assert studies.radiograph("7.late") is not None and set(looked) == {str(tmp_path / "7")}
    assert studies.list_images().index("7.late") == studies.list_images().index("7.knee") + 1


def test_the_list_is_written_once_and_not_by_who_answers(studies, client, monkeypatch):
    """30,000 names took half a second of the event loop, each time."""
    written, render = [], Json.render

    def noted(self, content):
        written.append(None)
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        return render(self, content)

    time.sleep(0.2)
    studies.refresh()
    monkeypatch.setattr(Json, "render", noted)
    for _ in range(3):
        reply = client.get("/datastore/", params={"output": "all"})
        assert reply.json() == {"name": "studies", "objects": {"case-7.radiograph": {}}}
        assert reply.headers["content-type"] == "application/json"
    assert len(written) == 1
    (studies.folder / "b.png").touch()
    reply = client.get("/datastore/", params={"output": "all"})
    assert set(reply.json()["objects"]) == {"b", "case-7.radiograph"}


def test_a_file_that_goes_while_it_is_sent_is_sent(studies, client, monkeypatch):
    call, path = _OpenFile.__call__, studies.radiograph("case-7.radiograph")
    path.write_bytes(content := os.urandom(200_000))

    async def later(self, *arguments):
        path.unlink()
        await call(self, *arguments)

    monkeypatch.setattr(_OpenFile, "__call__", later)
    ask = {"params": {"image": "case-7.radiograph"}}
    reply = client.get("/datastore/image", **ask)
    assert reply.status_code == 200 and reply.content == content
    assert 'filename="case-7.radiograph.png"' in reply.headers["content-disposition"]
    assert client.get("/datastore/image", **ask).status_code == 404


def test_a_folder_that_is_moved_in_is_found_and_one_that_goes_is_missed(folder, tmp_path):
    studies = Studies(folder)
    (tmp_path / "new" / "deep").mkdir(parents=True)
    (tmp_path / "new" / "deep" / "b.png").write_bytes(b"x")
    time.sleep(0.2)
    studies.refresh()
    (tmp_path / "new").rename(folder / "new")
    assert "new.deep.b" in studies.list_images()
    time.sleep(0.2)
    studies.refresh()
    shutil.rmtree(folder / "new")
    assert "new.deep.b" not in studies.list_images()
