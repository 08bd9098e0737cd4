"""Windows over the slices of a volume that is too large for one pass."""

from __future__ import annotations

from collections.abc import Iterator


def windows(count: int, size: int, reach: int) -> Iterator[tuple[slice, slice]]:
    """Cut `count` slices into windows of one size that overlap by as much as a layer stack reaches.

    Args:
        count: slices of the volume.
        size: size of a window, as far as `2 * reach + 1` allows less.
        reach: slices to either side that a result depends on.

    Yields:
        (window, core): what goes into a pass, and what of it is right; the cores cover everything
        once, in order.

    Example:
        >>> [(w.start, w.stop, c.start, c.stop) for w, c in windows(10, 6, 1)]
        [(0, 6, 0, 5), (4, 10, 5, 10)]
    """
    size = min(count, max(size, 2 * reach + 1))
    done = 0
    while done < count:
        start = min(max(done - reach, 0), count - size)
        stop = start + size
        until = count if stop == count else stop - reach
        yield slice(start, stop), slice(done, until)
        done = until
