"""One ring all-reduce in ASTRA-sim's analytical backend, run by a binary that is given.

The binary is `AstraSim_Analytical_Congestion_Aware` (or `..._Unaware`) as ASTRA-sim's own
`build/astra_analytical/build.sh` makes it; docs/speed.md says from which versions.
Everything that it reads is written here: a switch with N accelerators, and for each of them a
trace in Chakra's format (protobuf messages, each with its length before it) with one all-reduce.
"""

from __future__ import annotations

import json
import re
import resource
import subprocess
import tempfile
from pathlib import Path
from typing import NamedTuple

_SYSTEM = {
    "scheduling-policy": "LIFO",
    "endpoint-delay": 1,
    "active-chunks-per-dimension": 1,
    "preferred-dataset-splits": 1,
    **{f"{kind}-implementation": ["ring"] for kind in ("all-reduce", "all-gather", "reduce-scatter")},
    "all-to-all-implementation": ["direct"],
    "collective-optimization": "baseline",
    "local-mem-bw": 1e6,
    "boost-mode": 0,
}
_COLLECTIVE_NODE = 7
_ALL_REDUCE = 0
_FINISHED = re.compile(r"finished, ([0-9]+) cycles")


class AstraSimRun(NamedTuple):
    """What ASTRA-sim says and what it took: CPU seconds of its whole process."""

    finish_s: float
    cpu_s: float


def all_reduce(
    binary: Path, *, ranks: int, size_bytes: int, bytes_per_s: float, latency_s: float
) -> AstraSimRun:
    """Run one all-reduce over `ranks` accelerators on a ring of links."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_inputs(folder, ranks, size_bytes, bytes_per_s, latency_s)
        return _run(binary, folder, ranks)


def _write_inputs(folder: Path, ranks: int, size_bytes: int, bytes_per_s: float, latency_s: float) -> None:
    network = {"topology": "[ Ring ]", "npus_count": f"[ {ranks} ]"}
    network |= {"bandwidth": f"[ {bytes_per_s / 2**30!r} ]", "latency": f"[ {latency_s * 1e9!r} ]"}
    (folder / "network.yml").write_text("".join(f"{key}: {value}\n" for key, value in network.items()))
    (folder / "system.json").write_text(json.dumps(_SYSTEM))
    (folder / "memory.json").write_text('{"memory-type": "NO_MEMORY_EXPANSION"}')
    for rank in range(ranks):
        (folder / f"trace.{rank}.et").write_bytes(_trace(rank, size_bytes))


def _run(binary: Path, folder: Path, ranks: int) -> AstraSimRun:
    words = [str(binary), f"--workload-configuration={folder / 'trace'}"]
    words += [f"--system-configuration={folder / 'system.json'}"]
    words += [f"--network-configuration={folder / 'network.yml'}"]
    words += [f"--remote-memory-configuration={folder / 'memory.json'}"]
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    nanoseconds = [int(cycles) for cycles in _FINISHED.findall(done.stdout)]
    if len(nanoseconds) != ranks:
        raise RuntimeError(f"{binary} finished {len(nanoseconds)} of {ranks} ranks:\n{done.stdout[-2000:]}")
    cpu_s = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return AstraSimRun(max(nanoseconds) * 1e-9, cpu_s)


def _trace(rank: int, size_bytes: int) -> bytes:
    """Metadata and one all-reduce, in protobuf's wire format."""
    attributes = [
        _text(1, "is_cpu_op") + _varint(27, 0),
        _text(1, "comm_type") + _varint(9, _ALL_REDUCE),
        _text(1, "comm_size") + _varint(9, size_bytes),
    ]
    node = _varint(1, rank) + _text(2, "all-reduce") + _varint(3, _COLLECTIVE_NODE)
    node += b"".join(_bytes(10, attribute) for attribute in attributes)
    return b"".join(_number(len(message)) + message for message in (_text(1, "0.0.4"), node))


def _varint(field: int, value: int) -> bytes:
    return _number(field << 3) + _number(value)


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, value: bytes) -> bytes:
    return _number(field << 3 | 2) + _number(len(value)) + value


def _number(value: int) -> bytes:
    """Seven bits a byte, least significant first, the high bit where more follow."""
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
