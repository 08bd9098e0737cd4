"""Nothing of a request stays: not on the disk, not for others, not for ever."""

import gc
import time
import weakref

import pytest

from monai_app.lib.quotas import Quota, QuotaFull
from monai_app.lib.uploads import SMALLEST, Sessions, TooMuch, UnknownSession
from xr2mri_core.errors import InputError


def test_a_session_belongs_to_its_owner():
    sessions = Sessions()
    session = sessions.add(b"x", "ann")
    assert sessions.get(session.id, "ann").content == b"x"
    with pytest.raises(UnknownSession):
        sessions.get(session.id, "bob")
    sessions.remove(session.id, "ann")
    with pytest.raises(UnknownSession):
        sessions.get(session.id, "ann")


def test_a_session_expires_when_it_is_not_used():
    sessions = Sessions()
    session = sessions.add(b"x", "ann", expiry=1)
    session.used -= 2
    with pytest.raises(UnknownSession):
        sessions.get(session.id, "ann")


def test_an_expired_session_goes_without_being_asked_for():
    """It is a patient's picture: nobody may come again for hours."""
    sessions = Sessions()
    longer, short = sessions.add(b"xy", "ann", expiry=60), sessions.add(b"x", "ann", expiry=1)
    content = weakref.ref(short)
    del short
    limit = time.monotonic() + 10
    while len(sessions._held) > 1 and time.monotonic() < limit:
        time.sleep(0.05)
    gc.collect()
    assert list(sessions._held) == [longer.id] and content() is None
    longer.used -= 61
    sessions._again()
    assert not sessions._held and sessions._timer is None


def test_very_many_small_sessions_are_bounded():
    """Of one byte each, a million of them would take gigabytes all the same."""
    sessions = Sessions(quota=Quota("sessions", 8 * SMALLEST, 4 * SMALLEST))
    held = [sessions.add(b"x", "ann") for _ in range(20)]
    assert set(sessions._held) == {session.id for session in held[-4:]}
    sessions.remove(held[-1].id, "ann")
    assert sessions.quota.held("ann") == 3 * SMALLEST


def test_sessions_are_bounded_and_ones_own_longest_unused_go_first(monkeypatch):
    monkeypatch.setattr("monai_app.lib.uploads.SMALLEST", 1)
    sessions = Sessions(quota=Quota("sessions", 14, 10))
    first, second = (sessions.add(b"1234", "ann") for _ in range(2))
    time.sleep(0.01)
    sessions.get(first.id, "ann")
    third = sessions.add(b"1234", "ann")
    assert {first.id, third.id} == set(sessions._held) and second.id not in sessions._held
    with pytest.raises(TooMuch):
        sessions.add(b"12345678901", "ann")
    with pytest.raises(InputError):
        sessions.add(b"", "ann")
    with pytest.raises(QuotaFull, match="all users"):
        sessions.add(b"1234567", "bob")  # ann's stay, for she may come back
    other = sessions.add(b"123456", "bob/1", account="bob")
    sessions.add(b"123456", "bob/2", account="bob")
    assert other.id not in sessions._held and {first.id, third.id} < set(sessions._held)
    assert sessions.quota.held() == 14
    sessions.remove(first.id, "ann")
    assert sessions.quota.held("ann") == 4


def test_what_is_being_read_counts_until_it_has_been(monkeypatch):
    """Else who drops sessions while their files wait to be read holds as much as he likes."""
    monkeypatch.setattr("monai_app.lib.uploads.SMALLEST", 1)
    sessions = Sessions(quota=Quota("sessions", 20, 10))
    first, second = (sessions.add(b"12345", "ann") for _ in range(2))
    with sessions.in_use(first.id, "ann") as content:
        sessions.add(b"12345", "ann")
        assert first.id in sessions._held and second.id not in sessions._held
        sessions.remove(first.id, "ann")
        assert content == b"12345" and sessions.quota.held("ann") == 10
        with pytest.raises(QuotaFull, match="yours"):
            sessions.add(b"123456", "ann")
        with pytest.raises(UnknownSession):
            sessions.get(first.id, "ann")
    assert sessions.quota.held("ann") == 5
    sessions.add(b"12345", "ann")


def test_a_session_that_goes_while_it_waits_to_be_read_still_counts(
    client, service, radiograph, monkeypatch
):
    """`DELETE` and the next `PUT` would give the room away while the bytes are still there."""
    file = radiograph.read_bytes()
    session = client.put("/session/", files={"files": file}).json()["session_id"]
    read, given_back = service.read, []
    monkeypatch.setattr(Quota, "_give_back", lambda self, user, size: given_back.append(size))

    def read_later(*arguments):
        assert client.delete(f"/session/{session}").status_code == 200
        assert given_back == []
        return read(*arguments)

    monkeypatch.setattr(service, "read", read_later)
    reply = client.post("/locate/knee_xr2mri", params={"session_id": session})
    assert reply.status_code == 200 and given_back == [max(len(file), SMALLEST)]
