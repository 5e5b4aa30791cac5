"""One row of a table of training runs: text by column into numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.errors import InputError

__all__ = ["COLUMNS", "TrainingRow", "read_row"]

COLUMNS = ("row_id", "system", "framework", "seq_len", "tp", "pp", "global_batch")
"""Columns that both kinds of table have."""

_MLPERF = {
    "gpu": "accelerator",
    "gpu_count": "n_accelerators",
    "gpus_per_node": "accel_per_node",
    "scale_out": "host_networking",
    "model": "benchmark",
    "iter_time_s": "step_time_s",
}
"""Our names to those of a table of MLPerf results."""

_NEEDED = ("gpu", "gpu_count", "gpus_per_node", "scale_out", "model", "micro_batch")
_OUT_OF_MEMORY = re.compile(r"\s*(?:oom|out of memory)\s*", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class TrainingRow:
    """A published run: hardware, framework and model in words, everything else as numbers.

    What a row does not say is None (or an empty text).

    Parameters
    ----------
    table
        Which publication it is from.
    nodes_of
        GPUs per node.
    zero
        `fsdp`, or what stands in the column.
    iteration_s, tokens_per_s, tflops_per_gpu
        What was measured.
    flops_kind
        What the publication counts as a FLOP.
    memory_gb
        Of a GPU, as observed.
    out_of_memory
        Whether the run is published as one that did not fit.
    """

    id: str
    table: str
    system: str
    gpu: str
    gpus: int
    nodes_of: int
    network: str
    framework: str
    task: str
    model: str
    dtype: str
    zero: str
    recompute: str
    notes: str
    flops_kind: str
    parameters: float | None
    layers: int | None
    hidden: int | None
    heads: int | None
    kv_heads: int | None
    ffn_hidden: int | None
    vocab: int | None
    sequence: int | None
    tensor: int | None
    sequence_parallel: int | None
    pipeline: int | None
    virtual_stages: int | None
    context: int | None
    expert: int | None
    expert_tensor: int | None
    data: int | None
    micro_batch: int | None
    global_batch: int | None
    accumulation: int | None
    iteration_s: float | None
    tokens_per_s: float | None
    samples_per_s: float | None
    tflops_per_gpu: float | None
    memory_gb: float | None
    out_of_memory: bool

    @property
    def nodes(self) -> int:
        """Nodes that the GPUs fill."""
        return -(-self.gpus // self.nodes_of)


def read_row(row: Mapping[str, str]) -> TrainingRow:
    """Read a row of a table of training runs, or of one of MLPerf results.

    Raises
    ------
    InputError
        For a number that is none, and for what every row has to say.
    """
    text = _Text(row)
    gpus = text.whole("gpu_count")
    if gpus is None:
        raise InputError("the number of GPUs is not given")
    return TrainingRow(
        id=text("row_id"),
        table=text("table") or f"MLPerf {text('round')}".strip(),
        system=text("system"),
        gpu=text("gpu"),
        gpus=gpus,
        nodes_of=min(text.whole("gpus_per_node") or 8, gpus),
        network=text("scale_out"),
        framework=text("framework"),
        task=text("task") or "pretrain",
        model=text("model"),
        dtype=text("dtype"),
        zero=text("zero_stage").lower(),
        recompute=text("recompute").lower(),
        notes=text("notes"),
        flops_kind=text("tflops_kind"),
        parameters=text.scaled("params_b", 1e9),
        layers=text.whole("layers"),
        hidden=text.whole("hidden"),
        heads=text.whole("heads"),
        kv_heads=text.whole("kv_heads"),
        ffn_hidden=text.whole("ffn_hidden"),
        vocab=text.whole("vocab"),
        sequence=text.whole("seq_len"),
        tensor=text.whole("tp"),
        sequence_parallel=text.whole("seq_parallel", least=0),
        pipeline=text.whole("pp"),
        virtual_stages=text.whole("vp"),
        context=text.whole("cp"),
        expert=text.whole("ep"),
        expert_tensor=text.whole("etp"),
        data=text.whole("dp"),
        micro_batch=text.whole("micro_batch"),
        global_batch=text.whole("global_batch"),
        accumulation=text.whole("grad_accum"),
        iteration_s=text.number("iter_time_s"),
        tokens_per_s=text.number("tokens_per_s"),
        samples_per_s=text.number("samples_per_s"),
        tflops_per_gpu=text.number("tflops_per_gpu"),
        memory_gb=text.number("mem_gb"),
        out_of_memory=bool(_OUT_OF_MEMORY.fullmatch(text("iter_time_s"))),
    )


class _Text:
    """The cells of a row by our names, whichever kind of table it is from."""

    def __init__(self, row: Mapping[str, str]) -> None:
        self._row = row
        self._names = _MLPERF if "benchmark" in row and "model" not in row else {}
        for column in _NEEDED:
            if self._names.get(column, column) not in row:
                raise InputError(f"column '{self._names.get(column, column)}' is missing")

    def __call__(self, column: str) -> str:
        """Return the text of a cell; empty where there is no such column."""
        return self._row.get(self._names.get(column, column), "").strip()

    def number(self, column: str) -> float | None:
        """Return a cell as a number above zero; None where it is empty or says `OOM`."""
        text = self(column)
        if not text or _OUT_OF_MEMORY.fullmatch(text):
            return None
        try:
            number = float(text)
        except ValueError:
            raise InputError(f"{column} '{text}' is no number") from None
        if not 0 <= number < float("inf"):
            raise InputError(f"{column} '{text}' is not a number from 0")
        return number or None

    def scaled(self, column: str, unit: float) -> float | None:
        """Return a cell in units of one."""
        number = self.number(column)
        return None if number is None else number * unit

    def whole(self, column: str, *, least: int = 1) -> int | None:
        """Return a cell as a whole number; None where it is empty."""
        text = self(column)
        if not text:
            return None
        try:
            number = float(text)
        except ValueError:
            number = 0.5
        if number != int(number) or number < least:
            raise InputError(f"{column} '{text}' is no whole number from {least}")
        return int(number)
