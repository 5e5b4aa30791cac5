"""One row of a table of ranking-model training: text by column into numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.errors import InputError

__all__ = ["RankingTrainingRow", "read_row"]

_EMPTY = re.compile(r"n/?a|-+|–|none|not (?:stated|given|printed)|\?", re.IGNORECASE)
_MULTIPLES = {"k": 2.0**10, "m": 2.0**20}
_BATCH = re.compile(r"(\d+(?:\.\d+)?)\s*([km])i?", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class RankingTrainingRow:
    """A published run: hardware, framework and model in words, everything else as numbers.

    What a row does not say is None (or an empty text).

    Parameters
    ----------
    scale_up, scale_out
        Words on the links inside a node and between nodes.
    step_s
        Measured seconds of a step.
    basis
        How the row states it.
    """

    id: str
    table: str
    system: str
    gpu: str
    gpus: int
    nodes_of: int
    scale_up: str
    scale_out: str
    framework: str
    model: str
    precision: str
    global_batch: int
    optimizer: str
    notes: str
    step_s: float
    basis: str
    held_out: bool

    @property
    def nodes(self) -> int:
        """Nodes that the GPUs fill."""
        return -(-self.gpus // self.nodes_of)


def read_row(cells: Mapping[str, str]) -> RankingTrainingRow:
    """Read a row whose columns have our names.

    Raises
    ------
    InputError
        For a number that is none, and for what every row has to say.
    """
    text = _Text(cells)
    gpus = text.whole("gpus")
    if gpus is None:
        raise InputError("the number of GPUs is not given")
    global_batch = _global_batch(text, gpus)
    step_s, basis = _step(text, global_batch)
    return RankingTrainingRow(
        id=text("row_id"),
        table=text("table") or (f"MLPerf {text('round')}" if text("round") else "runs"),
        system=text("system"),
        gpu=text("gpu"),
        gpus=gpus,
        nodes_of=_nodes_of(text, gpus),
        scale_up=text("scale_up"),
        scale_out=text("scale_out"),
        framework=_framework(text),
        model=" ".join(filter(None, (text("model"), text("size")))),
        precision=text("precision"),
        global_batch=global_batch,
        optimizer=text("optimizer"),
        notes=text("notes"),
        step_s=step_s,
        basis=basis,
        held_out=text("held_out").lower() in ("yes", "true", "1"),
    )


def _framework(text: _Text) -> str:
    """Return the words on the framework; a round of MLPerf is one of them."""
    return " ".join(filter(None, (text("framework"), f"MLPerf {text('round')}" if text("round") else "")))


def _nodes_of(text: _Text, gpus: int) -> int:
    nodes = text.whole("nodes")
    most = text.whole("gpus_per_node") or (-(-gpus // nodes) if nodes else 8 if gpus > 16 else gpus)
    return min(most, gpus)


def _global_batch(text: _Text, gpus: int) -> int:
    whole, part = text.batch("global_batch"), text.batch("batch_per_gpu")
    if whole is None and part is None:
        raise InputError("neither the global batch nor that of a GPU is given")
    return whole if whole is not None else (part or 0) * gpus


def _step(text: _Text, global_batch: int) -> tuple[float, str]:
    """Return the measured seconds of a step, and how the row states them."""
    if (milliseconds := text.number("iter_time_ms")) is not None:
        return milliseconds / 1e3, "step time"
    if (seconds := text.number("step_time_s")) is not None:
        return seconds, "step time"
    if (rate := text.number("samples_per_s")) is not None:
        return global_batch / rate, "samples/s"
    raise InputError("neither the time of a step nor samples/s is given")


class _Text:
    """The cells of a row by our names."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = cells

    def __call__(self, column: str) -> str:
        """Return the text of a cell; empty where there is no such column, or nothing is known."""
        text = (self._cells.get(column) or "").strip()
        return "" if _EMPTY.fullmatch(text) else text

    def number(self, column: str) -> float | None:
        """Return a cell as a number above zero; None where it is empty."""
        text = self(column)
        if not text:
            return None
        try:
            number = float(_plain(text))
        except ValueError:
            raise InputError(f"{column} '{text}' is no number") from None
        if not 0 < number < float("inf"):
            raise InputError(f"{column} '{text}' is not a number above 0")
        return number

    def batch(self, column: str) -> int | None:
        """Return a number of samples, which may be given as `8k` or `64K` (binary thousands)."""
        found = _BATCH.fullmatch(self(column))
        if found:
            return round(float(found[1]) * _MULTIPLES[found[2].lower()])
        return self.whole(column)

    def whole(self, column: str) -> int | None:
        """Return a cell as a whole number from 1; None where it is empty."""
        number = self.number(column)
        if number is None:
            return None
        if number != int(number):
            raise InputError(f"{column} '{self(column)}' is no whole number from 1")
        return int(number)


def _plain(text: str) -> str:
    """Return a number without separators of thousands."""
    return re.sub(r"(?<=\d)[,_ ](?=\d{3})", "", text)
