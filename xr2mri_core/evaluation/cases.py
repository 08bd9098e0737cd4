"""The run over the cases of a split: in processes or on a cluster, with progress."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from functools import partial
from typing import TypeVar

from xr2mri_core.processes import each_done
from xr2mri_core.progress import Progress

Case = TypeVar("Case")
Result = TypeVar("Result")


def of_each_case(
    work: Callable[[Case], Result],
    cases: Sequence[Case],
    doing: str,
    *,
    jobs: int,
    scheduler: str | None,
    progress: Progress,
) -> list[Result]:
    """``work(case)`` of every case, in the order of the cases.

    Args:
        work: a function of a module, or a partial of one; sent to the processes.
        cases: picklable.
        doing, jobs, scheduler: see `xr2mri_core.processes.each_done`.
        progress: told how many cases are done, in whatever order.
    """
    done: dict[int, Result] = {}
    numbered = list(enumerate(cases))
    progress(0, len(cases), "cases")
    with closing(
        each_done(partial(_one, work), numbered, min(jobs, len(cases)), doing, scheduler=scheduler)
    ) as working:
        for index, result in working:
            done[index] = result
            progress(len(done), len(cases), "cases")
    return [done[index] for index, _ in numbered]


def _one(work: Callable[[Case], Result], numbered: tuple[int, Case]) -> tuple[int, Result]:
    index, case = numbered
    return index, work(case)
