"""Words about the communication library: `NCCL 2.18.5`, `RCCL`, `vLLM custom all-reduce, CUDA graph`."""

from __future__ import annotations

import re
from typing import NamedTuple

from clustersim.errors import InputError

__all__ = ["Library", "read_library"]

_KERNELS = r"custom\s*[-_ ]?\s*(?:all\s*-?\s*reduce|ar\b)|one-?shot|two-?shot"
_OTHERS = r"oneccl|hccl|gloo|mscclpp|mscclang|msccl|open\s*mpi|mvapich|\bmpi\b|ucc\b|sccl|xla|neuron"
_KNOWN = "NCCL, RCCL, custom all-reduce kernels"


class Library(NamedTuple):
    """A communication library.

    `name` is `nccl`, `rccl`, or `kernels` for the one-shot and two-shot all-reduces that serving
    engines bring along; `version` is () where it is not said.
    """

    name: str
    version: tuple[int, ...] = ()

    def before(self, *version: int) -> bool:
        """Whether it is said to be older than a version."""
        return bool(self.version) and self.version < version


def read_library(words: str) -> Library:
    """Read the words about a communication library; NCCL where they are empty.

    Raises
    ------
    InputError
        For a library whose algorithms are not modelled.
    """
    text = words.lower()
    if re.search(_KERNELS, text):
        return Library("kernels")
    known = re.search(r"(rccl|nccl)(?:[\s:v-]*(\d+(?:\.\d+)+))?", text)
    if known:
        version = tuple(int(part) for part in (known.group(2) or "").split(".") if part)
        return Library(known.group(1), version)
    if not text.strip() or "torch" in text:
        return Library("nccl")
    if re.search(_OTHERS, text):
        raise InputError(f"'{words}' is not a library that is modelled; known: {_KNOWN}")
    raise InputError(f"library '{words}' is not known; known: {_KNOWN}")
