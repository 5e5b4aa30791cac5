"""A progress bar on stderr."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["progress_bar"]

Report = Callable[[float, float], None]
"""Takes the fraction done and the simulated time in seconds."""


@contextmanager
def progress_bar(title: str, *, wanted: bool | None) -> Iterator[Report]:
    """Show a bar while the block runs.

    Parameters
    ----------
    title
        Text before the bar.
    wanted
        True and False decide; None shows it where stderr is a terminal.

    Yields
    ------
    What to call now and then; it does nothing where there is no bar.
    """
    if not (sys.stderr.isatty() if wanted is None else wanted):
        yield lambda fraction, simulated_s: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn

    console = Console(stderr=True, force_terminal=True if wanted else None)
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    with Progress(*columns, TextColumn("{task.fields[clock]}"), console=console, transient=True) as bar:
        task = bar.add_task(title, total=1.0, clock="")

        yield lambda fraction, simulated_s: bar.update(
            task, completed=fraction, clock=f"simulated {simulated_s:.4g} s"
        )
