"""The reply that a request gets instead of what it asked for."""

from __future__ import annotations

from collections.abc import Mapping


class Refusal(Exception):
    """Ends a request with a status and a JSON detail that says what to mend.

    Args:
        status: 4xx or 5xx.
        detail: one line; never a path of the server, never what an attacker would like to know.
        headers: more headers of the reply.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status, self.detail, self.headers = status, detail, dict(headers or {})
