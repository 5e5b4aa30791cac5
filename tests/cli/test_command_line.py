"""The command line as a whole: help, mistyped words, exit codes, pipes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from clustersim import cli
from clustersim.cli._parser import COMMANDS, make_parser
from clustersim.errors import CannotRunError, CatalogError, ClusterSimError, InputError

SOURCE = Path(__file__).parents[2] / "src"
INVALID = Path(__file__).parents[1] / "cases" / "invalid"


def clustersim(*arguments: str, **options: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "clustersim.cli", *arguments]
    return subprocess.run(command, text=True, capture_output=True, check=False, **options)  # type: ignore[call-overload]


def test_help_loads_no_library() -> None:
    done = clustersim("--help")
    assert done.returncode == 0
    for name in COMMANDS:
        assert name in done.stdout
    code = (
        "import sys; from clustersim.cli import main; main(['--help'])\n"
        "heavy = {'numpy', 'simpy', 'networkx', 'pydantic', 'yaml', 'rich', 'pandas', 'matplotlib'}\n"
        "sys.exit(len(heavy & sys.modules.keys()))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, capture_output=True).returncode == 0


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(say: Callable[..., tuple[int, str, str]], name: str) -> None:
    code, out, _ = say(name, "--help")
    assert code == 0
    assert out.startswith(f"usage: clustersim {name}")


def test_the_version_is_that_of_the_package(say: Callable[..., tuple[int, str, str]]) -> None:
    from importlib.metadata import version

    assert say("--version")[:2] == (0, f"clustersim {version('clustersim')}\n")


def test_no_command_at_all_shows_the_help_as_an_error(say: Callable[..., tuple[int, str, str]]) -> None:
    code, out, err = say()
    assert (code, out) == (2, "")
    assert err.startswith("clustersim: which command?")
    assert "clustersim run scenarios/ddp-and-chat-on-one-fabric.yaml" in err


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["rnu"], "clustersim: unknown command 'rnu'. Did you mean 'run'?"),
        (["compar", "x"], "unknown command 'compar'. Did you mean 'compare'?"),
        (["run", "x.yaml", "--sed", "3"], "clustersim run: unknown option '--sed'. Did you mean '--seed'?"),
        (["run", "x.yaml", "--jsn=1"], "unknown option '--jsn'. Did you mean '--json'?"),
        (["check", "x.yaml", "y.yaml"], "clustersim check: unexpected argument 'y.yaml'"),
        (
            ["run"],
            "clustersim run: the following arguments are required: SCENARIO; see 'clustersim run --help'",
        ),
        (["run", "x.yaml", "--seed", "-1"], "argument --seed: '-1' is not a whole number from 0"),
        (["compare", "x.yaml", "--seeds", "0"], "argument --seeds: '0' is not a whole number from 1"),
        (["run", "x.yaml", "--format", "xls"], "argument --format: invalid choice: 'xls'"),
        (["resolve", "nowhere.yaml"], "nowhere.yaml: no such file."),
    ],
)
def test_a_mistyped_word_gets_one_sentence_and_exit_code_2(
    say: Callable[..., tuple[int, str, str]], arguments: list[str], message: str
) -> None:
    code, out, err = say(*arguments)
    assert code == 2
    assert out == ""
    assert message in err
    assert err.count("\n") == 1


@pytest.mark.parametrize("error", [ClusterSimError, CatalogError, InputError, CannotRunError])
def test_the_exit_code_is_that_of_the_error(
    say: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch, error: type[ClusterSimError]
) -> None:
    def fail(args: object) -> int:
        raise error("the reason")

    monkeypatch.setattr("clustersim.cli.resolve.execute", fail)
    assert say("resolve", "x.yaml") == (error.exit_code, "", "the reason\n")


@pytest.mark.parametrize("place", [["--debug", "resolve", "x"], ["resolve", "x", "--debug"]])
def test_only_debug_shows_a_traceback(say: Callable[..., tuple[int, str, str]], place: list[str]) -> None:
    assert "Traceback" not in say("resolve", "x")[2]
    assert "Traceback" in say(*place)[2]


def test_a_bug_is_one_line_with_an_exit_code_of_its_own(
    say: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustersim.cli.resolve.execute", lambda args: 1 // 0)
    code, _, err = say("resolve", "x.yaml")
    assert code == cli.BUG
    assert err == "ZeroDivisionError: integer division or modulo by zero (this is a bug in clustersim; " + (
        "--debug shows where)\n"
    )


def test_a_file_that_cannot_be_written_is_bad_input(
    say: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clustersim.cli.resolve.execute", lambda args: Path("/nowhere/at/all").write_text(""))
    assert say("resolve", "x.yaml") == (2, "", "/nowhere/at/all: No such file or directory\n")


def test_ctrl_c_outside_a_run_is_one_line_and_130(
    say: Callable[..., tuple[int, str, str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(args: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr("clustersim.cli.resolve.execute", interrupt)
    assert say("resolve", "x.yaml") == (130, "", "stopped by Ctrl-C\n")


def test_all_problems_of_a_file_are_printed_at_once(say: Callable[..., tuple[int, str, str]]) -> None:
    code, _, err = say("resolve", INVALID / "several-at-once.yaml")
    assert code == 2
    assert len(err.splitlines()) == len((INVALID / "several-at-once.txt").read_text().splitlines())


def test_a_reader_that_goes_away_ends_the_command_quietly() -> None:
    read_end, write_end = os.pipe()
    os.close(read_end)
    command = [sys.executable, "-m", "clustersim.cli", "schema"]
    done = subprocess.run(command, stdout=write_end, stderr=subprocess.PIPE, text=True, check=False)
    os.close(write_end)
    assert done.stderr == ""
    assert done.returncode == cli.BROKEN_PIPE


def test_every_option_is_described() -> None:
    subparsers = next(action for action in make_parser()._actions if action.dest == "command")
    assert isinstance(subparsers.choices, dict)
    for parser in subparsers.choices.values():
        assert all(action.help for action in parser._actions)
