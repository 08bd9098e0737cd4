"""What no reply may hold."""

import re


def without_paths(text: str) -> bool:
    """Whether a reply names no path of this machine and shows no traceback."""
    return "Traceback" not in text and not re.search(r"(/root|/home|/tmp|/usr|/work)/", text)
