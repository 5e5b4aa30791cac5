"""Writing what a study found into a folder: texts, tables and pictures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from clustersim.errors import InputError
from clustersim.results.atomic import atomic_path, write_text

if TYPE_CHECKING:
    import pandas as pd

    from clustersim.report.style import Picture

__all__ = ["keep"]

_PICTURE_FORMATS = ("png", "svg")


def keep(
    directory: Path | str,
    *,
    what: str,
    texts: Mapping[str, str],
    frames: Mapping[str, pd.DataFrame],
    pictures: Iterable[tuple[str, Picture]],
) -> Path:
    """Write texts by file name, tables as CSV and pictures as PNG and SVG; return the folder.

    Each file is whole or not there. Pictures come last and may be drawn as they are asked for.

    Raises
    ------
    InputError
        If the folder cannot be written; `what` names the study.
    """
    folder = Path(directory)
    try:
        for name, text in texts.items():
            write_text(folder / name, text)
        for name, frame in frames.items():
            with atomic_path(folder / f"{name}.csv") as temporary:
                frame.to_csv(temporary, index=False)
        for name, picture in pictures:
            for suffix in _PICTURE_FORMATS:
                with atomic_path(folder / f"{name}.{suffix}") as temporary:
                    picture.save(temporary)
    except OSError as error:
        raise InputError(f"{folder}: the {what} cannot be written ({error.strerror or error})") from None
    return folder
