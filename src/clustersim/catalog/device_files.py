"""Device files: an accelerator of one's own with its curves, as `clustersim calibrate` writes them.

device: my-gpu
sources:
  measured: {text: "clustersim calibrate, PyTorch 2.9.1, 2026-01-31", how: seen}
accelerator:
  sources: {all: measured}
  vendor: NVIDIA
  ...                  the fields of an entry of accelerators.yaml, without `efficiency`
efficiency:
  sources: {gemm: measured, ...}
  ...                  the fields of an entry of efficiency.yaml
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from clustersim.catalog._store import Record, Source
from clustersim.errors import InputError, did_you_mean

__all__ = ["DeviceFile", "file_version", "is_device_file", "read_device_file"]

_PARTS = ("device", "sources", "accelerator", "efficiency")


class DeviceFile(NamedTuple):
    """The two entries of a device file, as the catalogue's data files have them."""

    accelerator: Record
    efficiency: Record


def is_device_file(name: str) -> bool:
    """Whether a name in the place of an accelerator's is that of a device file."""
    return name.endswith((".yaml", ".yml"))


def file_version(path: str) -> tuple[int, int]:
    """Return what changes with a file: when it was written, and its size.

    Raises
    ------
    InputError
        If it cannot be read.
    """
    try:
        stat = Path(path).stat()
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror}") from None
    return stat.st_mtime_ns, stat.st_size


def read_device_file(path: str) -> DeviceFile:
    """Read a device file.

    Raises
    ------
    InputError
        If it cannot be read, or lacks a part.
    """
    import yaml

    try:
        document = yaml.safe_load(Path(path).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise InputError(f"{path}: cannot be read as YAML ({error})") from None
    _check_parts(path, document)
    sources = {key: _source(path, key, value) for key, value in document["sources"].items()}
    name = str(document["device"])
    accelerator = _record(path, name, document["accelerator"], sources, "accelerator")
    return DeviceFile(accelerator, _record(path, name, document["efficiency"], sources, "efficiency"))


def _check_parts(path: str, document: Any) -> None:
    if not isinstance(document, Mapping):
        raise InputError(f"{path}: is no device file: it needs {', '.join(_PARTS)}")
    for part in document:
        if part not in _PARTS:
            raise InputError(f"{path}: unknown part '{part}'.{did_you_mean(str(part), _PARTS)}")
    for part in _PARTS:
        if part not in document:
            raise InputError(f"{path}: part '{part}' is missing; `clustersim calibrate` writes such a file")
        if part != "device" and not isinstance(document[part], Mapping):
            raise InputError(f"{path}: part '{part}' is no table of fields")


def _source(path: str, key: str, value: Any) -> Source:
    try:
        return Source(str(value["text"]), value["how"])
    except (TypeError, KeyError):
        raise InputError(f"{path}: source '{key}' needs 'text' and 'how'") from None


def _record(
    path: str, name: str, fields: Mapping[str, Any], sources: Mapping[str, Source], part: str
) -> Record:
    cited = fields.get("sources", {})
    for field, key in cited.items():
        if key not in sources:
            raise InputError(f"{path}: {part}.sources.{field} cites '{key}', which is not among the sources")
    return Record(name, fields, {field: sources[key] for field, key in cited.items()})
