"""Every command and every Python snippet that README and docs show is run."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OUTPUTS = ("tables/", "pictures/")
FENCE = re.compile(r"^```(\w+)([^\n]*)\n(.*?)^```", re.MULTILINE | re.DOTALL)


def blocks(language: str) -> list[object]:
    """Fenced blocks of one language, each with the page and line it stands on.

    A block whose fence says `no-run` is not run here, with the reason after it: set-up
    lines that CI itself runs, or commands that take minutes.
    """
    found = []
    for page in PAGES:
        text = page.read_text()
        for match in FENCE.finditer(text):
            if match[1] == language and "no-run" not in match[2]:
                line = text[: match.start()].count("\n") + 1
                found.append(pytest.param(match[3], id=f"{page.relative_to(ROOT)}:{line}"))
    return found


def commands() -> list[object]:
    """Lines of `sh` blocks, one test each; a line that several pages show is run once."""
    found: dict[str, object] = {}
    for block in blocks("sh"):
        for line in block.values[0].replace("\\\n", " ").splitlines():  # type: ignore[attr-defined]
            if line.strip() and not line.startswith("#"):
                found.setdefault(line, pytest.param(line, id=f"{block.id} {line[:60]}"))  # type: ignore[attr-defined]
    return list(found.values())


@pytest.fixture
def workspace(tmp_path: Path) -> Path:
    """A copy-free view of the repository in which commands may write."""
    for name in ("scenarios", "topologies", "docs", "benchmarks", "tools", "tests", "src"):
        (tmp_path / name).symlink_to(ROOT / name)
    return tmp_path


@pytest.mark.parametrize("code", blocks("python"))
def test_a_python_snippet_runs(code: str, workspace: Path) -> None:
    environment = {**os.environ, "MPLBACKEND": "agg"}
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code],
        cwd=workspace,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("line", commands())
def test_a_shown_command_runs(line: str, workspace: Path) -> None:
    words = shlex.split(line, comments=True)
    words[0] = {"clustersim": str(Path(sys.executable).parent / "clustersim"), "python": sys.executable}.get(
        words[0], words[0]
    )
    done = subprocess.run(words, cwd=workspace, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_between_pages_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\((?!https?:|#)([^)#\s]+)", page.read_text()):
        assert (page.parent / target).exists(), target


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_files_that_a_page_names_exist(page: Path) -> None:
    """Paths in backticks: from the root, or from the package as `spec/load.py`."""
    places = (ROOT, ROOT / "src" / "clustersim", ROOT / "src" / "clustersim" / "engine")
    for name in re.findall(r"`((?:[\w-]+/)+[\w-]+\.(?:py|yaml|csv|md|json))`", page.read_text()):
        if not name.startswith(OUTPUTS) and "NAME" not in name:
            assert any((place / name).exists() for place in places), name
