"""One row of a table of training runs: text by column into numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from clustersim.errors import InputError
from clustersim.study.validation.training.columns import renamed

__all__ = ["TrainingRow", "read_row"]

_EMPTY = re.compile(r"n/?a|-+|–|none|not (?:stated|given|printed)|\?", re.IGNORECASE)
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
    zero, recompute, dtype
        What stands in the columns; see `clustersim.study.validation.training.words`.
    iteration_s, tokens_per_s, tflops_per_gpu, model_utilisation, hardware_utilisation
        What was measured; tokens/s of a GPU are made those of all, MFU and HFU are shares.
    peak_flops
        What MFU and HFU are shares of; None: the catalogue's peak of the GPU.
    flops_kind
        What the publication counts as a FLOP.
    memory_gb
        Of a GPU, as observed.
    out_of_memory
        Whether the run is published as one that did not fit.
    held_out
        Whether it is of the shipped table of other systems.
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
    model_utilisation: float | None
    hardware_utilisation: float | None
    peak_flops: float | None
    memory_gb: float | None
    out_of_memory: bool
    held_out: bool

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
        table=text("table") or (f"MLPerf {text('round')}" if text("round") else "runs"),
        system=text("system"),
        gpu=text("gpu"),
        gpus=gpus,
        nodes_of=min(text.whole("gpus_per_node") or 8, gpus),
        network=text("scale_out"),
        framework=text("framework"),
        task=text("task") or "pretrain",
        model=text("model"),
        dtype=text("dtype"),
        zero=text("zero_stage"),
        recompute=text("recompute"),
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
        sequence_parallel=text.flag("seq_parallel"),
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
        tokens_per_s=text.number("tokens_per_s") or text.scaled("tokens_per_s_per_gpu", gpus),
        samples_per_s=text.number("samples_per_s"),
        tflops_per_gpu=text.number("tflops_per_gpu"),
        model_utilisation=text.scaled("mfu_pct", 0.01),
        hardware_utilisation=text.scaled("hfu_pct", 0.01),
        peak_flops=text.scaled("peak_tflops_used", 1e12),
        memory_gb=text.number("mem_gb"),
        out_of_memory=bool(_OUT_OF_MEMORY.fullmatch(text("iter_time_s"))),
        held_out=text("held_out").lower() in ("yes", "true", "1"),
    )


class _Text:
    """The cells of a row by our names."""

    def __init__(self, cells: Mapping[str, str]) -> None:
        self._cells = renamed(cells)

    def __call__(self, column: str) -> str:
        """Return the text of a cell; empty where there is no such column."""
        return self._cells.get(column, "").strip()

    def number(self, column: str) -> float | None:
        """Return a cell as a number above zero; None where it is empty or says `n/a` or `OOM`."""
        text = self(column)
        if not text or _EMPTY.fullmatch(text) or _OUT_OF_MEMORY.fullmatch(text):
            return None
        try:
            number = float(_plain(text))
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
        """Return a cell as a whole number; None where it is empty or says `n/a`."""
        text = self(column)
        if not text or _EMPTY.fullmatch(text):
            return None
        try:
            number = float(_plain(text))
        except ValueError:
            number = 0.5
        if number != int(number) or number < least:
            raise InputError(f"{column} '{text}' is no whole number from {least}")
        return int(number)

    def flag(self, column: str) -> int | None:
        """Return 1 or 0 for a cell that says yes or no; None where it is empty."""
        text = self(column).lower()
        if text in ("yes", "true", "on"):
            return 1
        return 0 if text in ("no", "false", "off", "none") else self.whole(column, least=0)


def _plain(text: str) -> str:
    """Return a number without separators of thousands, a percent sign or the B of billions."""
    return re.sub(r"(?<=\d)[,_](?=\d{3})|\s*(?:%|[bB](?:illion)?)$", "", text)
