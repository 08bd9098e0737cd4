"""What can go wrong between Slicer and the server, and what the user can do about it.

Every error has two sentences: `message` says what happened, `remedy` what mends it. A panel shows
both; a program looks at the class.
"""

from __future__ import annotations

from typing import Any

from .texts import tr as _

_LONGEST = 300


def one_line(text: object, longest: int = _LONGEST) -> str:
    """A text from anywhere as one printable line of bounded length."""
    line = " ".join("".join(c if c.isprintable() else " " for c in str(text)).split())
    return line if len(line) <= longest else line[: longest - 3] + "..."


class XR2MRIClientError(Exception):
    """Base of all of them.

    Args:
        message: what happened, one sentence.
        remedy: what mends it; the class's own when left out.

    Attributes:
        passing: whether it may go away by itself, so that asking again makes sense.
    """

    remedy = ""
    passing = False

    def __init__(self, message: object, remedy: str | None = None) -> None:
        self.message = one_line(message)
        if remedy is not None:
            self.remedy = one_line(remedy)
        super().__init__(self.message)

    def __str__(self) -> str:
        return " ".join(part for part in (self.message, self.remedy) if part)


class BadAddress(XR2MRIClientError):
    """What was typed is not the address of a server."""

    remedy = _("Write it as http://127.0.0.1:8000 or https://mri.hospital.example.")


class BadRadiograph(XR2MRIClientError):
    """The file to send cannot be read."""

    remedy = _("Choose another radiograph.")


class Unreachable(XR2MRIClientError):
    """The server does not answer, or not in time, or the connection broke."""

    remedy = _("Is the server running, and are address and network right?")
    passing = True


class TlsProblem(XR2MRIClientError):
    """The connection cannot be made secure."""

    remedy = _("Ask the administrator of the server for its certificate authority (CA) file.")


class WrongServer(XR2MRIClientError):
    """Something answers, but it is not an XR2MRI server."""

    remedy = _("Check host and port of the address.")


class VersionMismatch(XR2MRIClientError):
    """Server and module speak different versions of the interface.

    Args:
        message: what does not fit.
        server_is_older: whether the server, not the client, is to be updated.
    """

    def __init__(self, message: object, server_is_older: bool) -> None:
        older, newer = _("Update the server."), _("Update the extension XR2MRI in Slicer.")
        super().__init__(message, older if server_is_older else newer)


class LoginNeeded(XR2MRIClientError):
    """The server asks who is there, or the login has expired."""

    remedy = _("Log in with your name and password.")


class LoginFailed(LoginNeeded):
    """Name or password are wrong."""

    remedy = _("Check name and password.")


class PermissionNeeded(XR2MRIClientError):
    """The user has not agreed that radiographs are sent to this server.

    Attributes:
        whole: whether it is about DICOM files, with the patient's name, and not pixels alone.
    """

    def __init__(self, url: str, whole: bool = False) -> None:
        self.whole = whole
        message = (
            _("No file with the patient's name and ID is sent to {url} before you agree to it.")
            if whole
            else _("Nothing is sent to {url} before you agree to it.")
        )
        super().__init__(
            message.format(url=one_line(url, 80)),
            _("Agree when you are asked, or pass allowUpload=True."),
        )


class JobLost(XR2MRIClientError):
    """The server no longer knows the job, or another user cancelled it."""

    remedy = _("Generate again.")


class OtherWeights(XR2MRIClientError):
    """The server generates with other weights than those that a volume was made with."""

    remedy = _("Generate the volume again with the weights of now, and go on from that.")

    def __init__(self) -> None:
        super().__init__(_("The server has other weights than the volume was made with."))


class Busy(XR2MRIClientError):
    """The server takes no more at the moment.

    Attributes:
        retry_after: seconds after which to try again.
    """

    passing = True

    def __init__(self, message: object, retry_after: float) -> None:
        self.retry_after = retry_after
        super().__init__(message, _("Try again in {n:.0f} s.").format(n=retry_after))


class Refused(XR2MRIClientError):
    """The server does not do what it was asked to; the message is the server's own.

    Attributes:
        status: HTTP status, 4xx.
    """

    def __init__(self, message: object, status: int) -> None:
        self.status = status
        super().__init__(message, _REMEDIES.get(status, ""))


class NotOffered(XR2MRIClientError):
    """The server is older than what it was asked for."""

    remedy = _("Update the server.")


_REMEDIES = {
    403: _("Ask the administrator of the server."),
    413: _("Send a smaller file, or ask the administrator of the server for a higher limit."),
    415: _("Choose another radiograph: DICOM, PNG, JPEG, NIfTI or NRRD."),
}


class ServerFault(XR2MRIClientError):
    """The server failed.

    Attributes:
        status: HTTP status, 5xx; 200 where a job failed.
        request_id: number under which the server's log tells more, if it gave one.
    """

    def __init__(
        self, message: object, status: int, request_id: str = "", passing: bool = False
    ) -> None:
        self.status, self.request_id = status, one_line(request_id, 64)
        remedy = _("Try again; if it stays so, tell the administrator of the server.")
        if self.request_id:
            more = _("Its log has the request {id}.").format(id=self.request_id)
            remedy = f"{remedy} {more}"
        self.passing = passing
        super().__init__(message, remedy)


class BadReply(XR2MRIClientError):
    """An answer that cannot be right: cut off, damaged, of a wrong type, shape or place.

    Args:
        passing: whether to ask again, as after a reply that was cut off.
    """

    remedy = _("Try again; if it stays so, tell the administrator of the server.")

    def __init__(self, message: object, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message)


class UserCancelled(XR2MRIClientError):
    """Raised when the user cancels."""

    def __init__(self) -> None:
        super().__init__(_("Cancelled."))


class NotSaved(XR2MRIClientError):
    """Files cannot be written here."""

    remedy = _("Is the disk full, or the folder protected? Make room and try again.")


class FormError(XR2MRIClientError):
    """A form, or what was pasted or loaded into it, cannot be used."""


class InstallFailed(XR2MRIClientError):
    """The server cannot be installed on this computer, or not be removed.

    Args:
        passing: whether it was the network, so that it may work another time.
    """

    remedy = _("Install again; if it stays so, report it with the log.")

    def __init__(self, message: object, remedy: str | None = None, passing: bool = False) -> None:
        self.passing = passing
        super().__init__(message, remedy)


class ServerEnded(XR2MRIClientError):
    """The server that was started on this computer has ended, or does not start."""

    remedy = _("Start it again; if it stays so, report it with its log.")


class Unexpected(XR2MRIClientError):
    """A fault of this program."""

    def __init__(self, error: Any) -> None:
        said = _("Unexpected {kind}: {text}").format(kind=type(error).__name__, text=error)
        super().__init__(said, _("Please report it with Slicer's log (View, Error Log)."))
