"""Bytes of keys and values in the cache, by precision, with the scales of what is quantised."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

__all__ = ["KV_BITS", "SCALE_BYTES", "kv_row_bytes"]

KV_BITS: Mapping[str, int] = MappingProxyType({"fp16": 16, "bf16": 16, "fp8": 8, "int8": 8, "int4": 4})
"""Bits of one number in the cache."""

SCALE_BYTES: Mapping[str, int] = MappingProxyType({"fp16": 0, "bf16": 0, "fp8": 0, "int8": 4, "int4": 4})
"""Bytes that come with the key, and with the value, of one token and head.

fp8 has one scale per tensor (vLLM's and SGLang's quantised KV cache), which is nothing per token; int8 and
int4 have a scale and a zero point in fp16.

**Source:** docs.vllm.ai, "Quantized KV Cache" (seen); lmdeploy.readthedocs.io, "INT4/INT8 KV Cache":
asymmetric, per head and per token (memory)."""


def kv_row_bytes(width: float, *, precision: str) -> float:
    """Return the bytes of one row of the cache: the key, or the value, of one token and head.

    *Equation.* width · bits / 8 + scales.

    Parameters
    ----------
    width
        Numbers in the row: head_dim; rank + rope of a latent cache, which is one row.
    precision
        A key of `KV_BITS`.

    **Valid when** everything but the last tokens of a request is quantised: KIVI (arXiv:2402.02750) keeps
    128 of them in fp16, which is not counted.
    **Checked by:** tests/cost/test_kv_precision.py.
    """
    return width * KV_BITS[precision] / 8 + SCALE_BYTES[precision]
