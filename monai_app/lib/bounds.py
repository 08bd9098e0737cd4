"""Every bound of the server: what one request, one user and all of them may take.

Each is stated here and nowhere else: its option (the field's name, as `--conf NAME VALUE` or
`XR2MRI_NAME` in the environment), its default, and the values that are accepted. The page
`docs/security.md` lists them, and a test holds the two together.

Names say whose they are: `*_user*` is of one user, the others of one request or of the server. A
user is who has logged in; of those who have not, all who come from one address (of IPv6: its /64).
Where nobody can log in, there is one user, who may have what all may have.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from monai_app.lib.options import whole

_Megabytes = Annotated[int, whole(1, 1_000_000)]
_Seconds = Annotated[int, whole(1, 3600)]


@dataclass(frozen=True)
class Bounds:
    """What stands in ``Annotated`` is what is accepted."""

    # connections and messages
    max_connections: Annotated[int, whole(16, 100_000)] = 512
    """Connections at once, as far as the process may open files."""
    max_headers: Annotated[int, whole(16, 1000)] = 64
    """Headers of a request."""
    max_header_kb: Annotated[int, whole(4, 60)] = 16
    """KiB of them in all."""
    max_query_kb: Annotated[int, whole(1, 16)] = 4
    """KiB of a query."""
    max_body_kb: Annotated[int, whole(1, 10_000)] = 64
    """KiB of a body that is no upload, and of what surrounds an uploaded file."""
    max_form_kb: Annotated[int, whole(1, 10_000)] = 256
    """KiB of a form without files."""
    header_seconds: _Seconds = 15
    """From the first byte of a request, or from connecting, to the end of its headers, the
    handshake of TLS included."""
    body_seconds: _Seconds = 20
    """In each of which a body comes at `slowest_kb_s` at least."""
    write_seconds: _Seconds = 20
    """That a client may let what is written of a reply wait, 256 KiB and a piece at most."""
    slowest_kb_s: Annotated[int, whole(1, 10_000)] = 16
    """KiB a second of a body."""
    requests_user: Annotated[int, whole(1, 10_000)] = 64
    """Requests of one user under way."""

    # what is held
    max_upload_mb: Annotated[int, whole(1, 2048)] = 64
    """MiB of one upload."""
    uploads_user_mb: _Megabytes = 128
    """MiB of one user's uploads under way."""
    uploads_mb: _Megabytes = 512
    """MiB of all uploads under way."""
    sessions_user_mb: _Megabytes = 128
    """MiB of one user's sessions; the longest unused one goes first."""
    sessions_mb: _Megabytes = 256
    """MiB of all sessions."""
    session_minutes: Annotated[int, whole(1, 24 * 60)] = 60
    """Without use, until a session is dropped."""
    results_user_mb: _Megabytes = 256
    """MiB of one user's results, those to come included; fetched ones go first, then the oldest."""
    results_mb: _Megabytes = 512
    """MiB of all results; of others than who asks, only fetched ones make room."""
    result_minutes: Annotated[int, whole(1, 24 * 60)] = 15
    """Until a result is forgotten."""
    fetch_seconds: _Seconds = 60
    """After a fetch, until a result counts as fetched of which a volume has not been."""

    # work
    max_queue: Annotated[int, whole(0, 10_000)] = 8
    """Generations that wait; of one user half of it, rounded up."""
    max_seconds: Annotated[int, whole(1, 10**6)] = 3600
    """Seconds of the device for one generation, by the pace of those before; ended at twice it."""
    max_memory_mb: Annotated[int, whole(16, 1_000_000)] = 2048
    """MiB of the volumes of one generation while it is made."""

    # files in the reading box
    read_seconds: _Seconds = 30
    """To decode a file and find its knee."""
    read_cpu_seconds: _Seconds = 20
    """Of processor time for it."""
    read_memory_mb: Annotated[int, whole(64, 1_000_000)] = 1024
    """MiB for it, beside what readers and detector themselves take."""
    read_at_once: Annotated[int, whole(1, 64)] = 4
    """Files that are decoded at once; of one user one less."""
    read_waiting: Annotated[int, whole(2, 1000)] = 64
    """Files that wait for it; of one user half of them."""

    # logins
    failures_user: Annotated[int, whole(1, 1000)] = 5
    """Failed logins of a name, before each one doubles the wait for the next."""
    failures_address: Annotated[int, whole(1, 10_000)] = 20
    """Failed logins of an address (of IPv6: its /64)."""
    logins_address: Annotated[int, whole(1, 1000)] = 8
    """Logins of an address that wait for the comparison of their password."""
    logins: Annotated[int, whole(1, 10_000)] = 64
    """The same of all addresses."""
    login_threads: Annotated[int, whole(1, 64)] = 2
    """Passwords that are compared at once, one of an address; 32 MiB and 0.1 s of a core each."""

    # a PACS
    pacs_requests: Annotated[int, whole(1, 40)] = 8
    """Requests that wait for the PACS; of one user half of them."""
    pacs_find_seconds: _Seconds = 30
    """To find an image there, and again to fetch it, from the request to the last byte."""
    pacs_store_seconds: _Seconds = 120
    """To store a series."""
    pacs_stores: Annotated[int, whole(1, 40)] = 2
    """Series that are stored there at once, beside what the devices generate."""
    pacs_list_mb: _Megabytes = 4
    """MiB of an answer of the PACS that is no image."""
    pacs_user_mb: _Megabytes = 128
    """MiB of images of the PACS that are read for one user."""
    pacs_mb: _Megabytes = 256
    """MiB of images of the PACS that are read for all."""

    # the end
    drain_seconds: Annotated[int, whole(0, 3600)] = 0
    """That jobs have to end and to be fetched on SIGTERM, before what follows; 0: none."""
    grace_seconds: Annotated[int, whole(0, 60)] = 4
    """That replies have to end once the server has been asked to end."""
    end_seconds: Annotated[int, whole(1, 120)] = 8
    """After which the process is gone, whatever it was doing."""
