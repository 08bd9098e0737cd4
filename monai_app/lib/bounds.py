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
from typing import Annotated, Any

from pydantic import Field


def whole(lowest: int, highest: int) -> Any:
    """The annotation of a whole number within a range."""
    return Field(ge=lowest, le=highest)


_Megabytes = Annotated[int, whole(1, 1_000_000)]
_Seconds = Annotated[int, whole(1, 3600)]


@dataclass(frozen=True)
class Bounds:
    """All bounds; ``Annotated`` says which values are accepted."""

    # connections and messages
    max_connections: Annotated[int, whole(16, 100_000)] = 512
    """Connections open at once, if the process may open as many files."""
    max_headers: Annotated[int, whole(16, 1000)] = 64
    """Headers of one request."""
    max_header_kb: Annotated[int, whole(4, 60)] = 16
    """KiB that all headers of a request take together."""
    max_query_kb: Annotated[int, whole(1, 16)] = 4
    """KiB of a query string."""
    max_body_kb: Annotated[int, whole(1, 10_000)] = 64
    """KiB of a body that is no upload, and of the parts of a form around an uploaded file."""
    max_form_kb: Annotated[int, whole(1, 10_000)] = 256
    """KiB of a form without files."""
    header_seconds: _Seconds = 15
    """Seconds from connecting, or from the first byte of a request, to the end of its headers;
    the handshake of TLS included."""
    body_seconds: _Seconds = 20
    """Seconds of a period; in each, a body has to come at `slowest_kb_s` at least."""
    write_seconds: _Seconds = 20
    """Seconds that a client may leave parts of a reply unread, of which at most 256 KiB and one
    piece wait."""
    slowest_kb_s: Annotated[int, whole(1, 10_000)] = 16
    """KiB a second: the slowest that a body may come."""
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
    """MiB of one user's sessions; when they are too many, the longest unused one is dropped
    first."""
    sessions_mb: _Megabytes = 256
    """MiB of all sessions."""
    session_minutes: Annotated[int, whole(1, 24 * 60)] = 60
    """Minutes after its last use until a session is dropped."""
    results_user_mb: _Megabytes = 256
    """MiB of one user's results, also of those still being made; fetched ones are dropped first,
    then the oldest."""
    results_mb: _Megabytes = 512
    """MiB of all results; for one user's new result, other users' are dropped only if they have
    been fetched."""
    result_minutes: Annotated[int, whole(1, 24 * 60)] = 15
    """Minutes until a result is forgotten."""
    fetch_seconds: _Seconds = 60
    """Seconds after the last fetch until a result counts as fetched although one of its volumes
    has not been."""

    # work
    max_queue: Annotated[int, whole(1, 10_000)] = 8
    """Generations that wait; one user may have half of them, rounded up."""
    max_seconds: Annotated[int, whole(1, 10**6)] = 3600
    """Seconds that one generation may take on the device, estimated from earlier ones; it is
    ended after twice as many."""
    max_memory_mb: Annotated[int, whole(16, 1_000_000)] = 2048
    """MiB that the volumes of one generation take while it is made."""

    # files in the reading box
    read_seconds: _Seconds = 30
    """Seconds to decode a file and find its knee."""
    read_cpu_seconds: _Seconds = 20
    """Seconds of processor time for the same."""
    read_memory_mb: Annotated[int, whole(64, 1_000_000)] = 1024
    """MiB for it, beside what readers and detector themselves take."""
    read_at_once: Annotated[int, whole(1, 64)] = 4
    """Files that are decoded at once; one user may have all but one of these places."""
    read_waiting: Annotated[int, whole(2, 1000)] = 64
    """Files that wait to be decoded; one user may have half of them."""

    # logins
    failures_user: Annotated[int, whole(1, 1000)] = 5
    """Failed logins under one name; each further one doubles the wait before the next."""
    failures_address: Annotated[int, whole(1, 10_000)] = 20
    """Failed logins from one address (of IPv6: its /64); each further one doubles the wait."""
    logins_address: Annotated[int, whole(1, 1000)] = 8
    """Logins from one address that wait for their password to be checked."""
    logins: Annotated[int, whole(1, 10_000)] = 64
    """Logins from all addresses that wait for their password to be checked."""
    login_threads: Annotated[int, whole(1, 64)] = 2
    """Passwords that are checked at once, one of each address; each takes 32 MiB and 0.1 s of a
    core."""

    # a PACS
    pacs_requests: Annotated[int, whole(1, 40)] = 8
    """Requests that wait for the PACS; one user may have half of them."""
    pacs_find_seconds: _Seconds = 30
    """Seconds to find an image in the PACS, and as many to fetch it, from the request to the
    last byte."""
    pacs_store_seconds: _Seconds = 120
    """Seconds to store a series in the PACS."""
    pacs_stores: Annotated[int, whole(1, 40)] = 2
    """Series that are stored in the PACS at once, beside what the devices generate."""
    pacs_list_mb: _Megabytes = 4
    """MiB of an answer of the PACS that is no image."""
    pacs_user_mb: _Megabytes = 128
    """MiB of images from the PACS that are held for one user."""
    pacs_mb: _Megabytes = 256
    """MiB of images from the PACS that are held for all users."""

    # the end
    drain_seconds: Annotated[int, whole(0, 3600)] = 0
    """Seconds after a first SIGTERM in which jobs may still end and be fetched; 0: none."""
    grace_seconds: Annotated[int, whole(0, 60)] = 4
    """Seconds after the server has been asked to end in which replies may still end."""
    end_seconds: Annotated[int, whole(1, 120)] = 8
    """Seconds after which the process ends, whatever it is doing."""
