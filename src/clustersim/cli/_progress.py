"""A progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]

Report = Callable[[float, float], None]
"""Takes the fraction done and what the clock shows, in seconds."""


@contextmanager
def progress_bar(title: str, *, wanted: bool | None, clock: str = "simulated {:.4g} s") -> Iterator[Report]:
    """Show a bar while the block runs.

    Parameters
    ----------
    title
        Text before the bar.
    wanted
        True and False decide; None shows it where stderr is a terminal.
    clock
        What stands behind the bar, with a place for seconds.

    Yields
    ------
    What to call now and then; it does nothing where there is no bar.
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda fraction, seconds: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, force_terminal=True if wanted else None)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[clock]}"), console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0, clock="")

        yield lambda fraction, seconds: bar.update(task, completed=fraction, clock=clock.format(seconds))
