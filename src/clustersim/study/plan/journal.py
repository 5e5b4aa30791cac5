"""The file that a search keeps every simulated layout in, as soon as it is simulated."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict
from pathlib import Path
from typing import TextIO

from clustersim.errors import InputError
from clustersim.spec.scenario import Scenario
from clustersim.spec.training import TrainingSpec
from clustersim.study.plan.layouts import Simulated

__all__ = ["RESULTS", "Journal"]

RESULTS = "results.jsonl"
"""One JSON object per line, appended."""


class Journal:
    """What has been simulated, by a hash of all that decides it; kept in a folder or not at all.

    Parameters
    ----------
    directory
        None keeps nothing.
    scenario
        Cluster and what layouts have in common.
    resume
        Whether results of an earlier search may be there.

    Raises
    ------
    InputError
        Where results are there and `resume` was not said, and for a folder that cannot be written.

    **Checked by:** tests/study/test_plan_search.py, which ends a search in the middle.
    """

    def __init__(self, directory: Path | None, scenario: Scenario, *, resume: bool) -> None:
        self._common = "" if directory is None else scenario.content_hash()
        self._known: dict[str, Simulated] = {}
        self._file: TextIO | None = None
        if directory is not None:
            self._open(directory, resume=resume)

    def get(self, spec: TrainingSpec, *, whole: bool) -> Simulated | None:
        """Return what was simulated before; `whole`: with every micro-batch."""
        known = self._known.get(self._key(spec)) if self._known else None
        return known if known is None or known.whole or not whole else None

    def put(self, spec: TrainingSpec, simulated: Simulated) -> None:
        """Keep a layout; a failure is not kept, so that it is tried again."""
        if self._file is None or simulated.error:
            return
        line = {"key": self._key(spec), **asdict(simulated)}
        self._file.write(json.dumps(line, separators=(",", ":")) + "\n")
        self._file.flush()

    def close(self) -> None:
        """Write no more."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self, directory: Path, *, resume: bool) -> None:
        path = directory / RESULTS
        try:
            directory.mkdir(parents=True, exist_ok=True)
            text = path.read_text(encoding="utf-8") if path.exists() else ""
            if text and not resume:
                raise InputError(
                    f"{path} holds results of an earlier search; go on with it (--resume), or name another "
                    "folder"
                )
            self._file = path.open("a", encoding="utf-8")
            if text and not text.endswith("\n"):
                self._file.write("\n")  # the last line was cut off
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror or error})") from None
        for line in text.splitlines():
            self._read(line)

    def _read(self, line: str) -> None:
        """Take a line; one that was cut off is left out."""
        try:
            fields = json.loads(line)
            key = fields.pop("key")
            self._known[key] = Simulated(**fields)
        except (ValueError, TypeError, KeyError, AttributeError):
            return

    def _key(self, spec: TrainingSpec) -> str:
        return hashlib.sha256(f"{self._common}\n{spec.model_dump_json()}".encode()).hexdigest()
