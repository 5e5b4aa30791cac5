"""Write the expected outcomes of all cases, and the documents made from the spec, anew.

    python tests/cases/regenerate.py

Look at the difference before it is kept: it is what users will see.
"""

from __future__ import annotations

import os
from pathlib import Path

from clustersim.errors import InputError
from clustersim.spec import reference, schema
from clustersim.spec.load import load

CASES = Path(__file__).parent
DOCS = CASES.parents[1] / "docs"


def case_files(kind: str) -> list[Path]:
    """The cases of one kind, without their expected outcomes."""
    return sorted(path for path in (CASES / kind).glob("*.yaml") if not path.name.endswith(".resolved.yaml"))


def messages(path: Path) -> str:
    """What is said about an invalid case, as seen from its own folder."""
    before = Path.cwd()
    os.chdir(path.parent)
    try:
        load(path.name)
    except InputError as error:
        return f"{error}\n"
    finally:
        os.chdir(before)
    raise AssertionError(f"{path} is not refused")


def main() -> None:
    """Write everything."""
    for path in case_files("valid"):
        path.with_suffix(".resolved.yaml").write_text(load(path).resolved_yaml(), encoding="utf-8")
    for path in case_files("invalid"):
        path.with_suffix(".txt").write_text(messages(path), encoding="utf-8")
    for name, text in schema.texts().items():
        (DOCS / "schema" / name).write_text(text, encoding="utf-8")
    (DOCS / "scenario-reference.md").write_text(reference.text(), encoding="utf-8")


if __name__ == "__main__":
    main()
