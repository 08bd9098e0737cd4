"""A quicker start: libraries are imported without others that they can do without."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def left_out(*names: str) -> Iterator[None]:
    """Within the context these modules count as not installed, unless they are imported already.

    MONAI imports whatever it may log to: MLflow and pandas are a fifth of all that a generation
    imports, and it uses neither. Afterwards they can be imported as usual.

    Example:
        >>> with left_out("antigravity"):
        ...     try:
        ...         import antigravity
        ...     except ImportError:
        ...         print("left out")
        left out
    """
    absent = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(absent))  # type: ignore[arg-type]  # None: no such module
    try:
        yield
    finally:
        for name in absent:
            del sys.modules[name]
