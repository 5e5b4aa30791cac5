"""The hash of a scenario names its result: all that decides it counts, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

import clustersim as cs
from clustersim.spec import library

ROOT = Path(__file__).parents[2]
SCENARIO = ROOT / "scenarios" / "resnet50-on-dgx-a100.yaml"


@pytest.fixture
def package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stand-in for the installed package, whose files a test may change."""
    monkeypatch.setattr("clustersim.__file__", str(tmp_path / "__init__.py"))
    (tmp_path / "__init__.py").write_text("")
    (tmp_path / "links.yaml").write_text("rate: 1\n")
    library.library_digest.cache_clear()
    yield tmp_path  # type: ignore[misc]
    library.library_digest.cache_clear()


def test_seed_and_every_field_count(tmp_path: Path) -> None:
    scenario = cs.load(SCENARIO)
    same = cs.load(SCENARIO)
    assert scenario.content_hash() == same.content_hash()
    assert scenario.content_hash() != scenario.content_hash(seed=99)
    assert scenario.content_hash() != scenario.with_(**{"workloads.resnet50.steps": 21}).content_hash()


def test_another_catalogue_or_other_code_gives_another_hash(package: Path) -> None:
    before = library.library_digest()
    for name, text in (("links.yaml", "rate: 2\n"), ("solver.py", "x = 1\n")):
        (package / name).write_text(text)
        library.library_digest.cache_clear()
        after = library.library_digest()
        assert after != before
        before = after


def test_shipped_scenarios_and_compiled_files_do_not_count(package: Path) -> None:
    before = library.library_digest()
    (package / "_shipped").mkdir()
    (package / "_shipped" / "x.yaml").write_text("a: 1\n")
    (package / "x.pyc").write_bytes(b"1")
    library.library_digest.cache_clear()
    assert library.library_digest() == before


def test_the_contents_of_an_input_file_count_and_its_place_does_not(tmp_path: Path) -> None:
    text = (ROOT / "scenarios" / "chat-on-one-dgx-h100.yaml").read_text()
    trace = "{kind: trace, path: requests.csv}"
    head, rest = text.split("    arrivals:")
    text = head + f"    arrivals: {trace}\n" + rest.split("\n", 2)[2]
    rows = "arrived_at,prompt,output\n0.5,100,20\n"
    hashes = []
    for folder, name, content in (
        ("a", "requests", rows),
        ("b", "moved", rows),
        ("c", "requests", rows + "1,9,9\n"),
    ):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / f"{name}.csv").write_text(content)
        (tmp_path / folder / "s.yaml").write_text(text.replace("requests.csv", f"{name}.csv"))
        hashes.append(cs.load(tmp_path / folder / "s.yaml").content_hash())
    assert hashes[0] == hashes[1] != hashes[2]
