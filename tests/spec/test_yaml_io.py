"""YAML in and out: core schema scalars, positions, what is refused."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from clustersim.errors import InputError
from clustersim.spec import yaml_io


@pytest.fixture(params=["libyaml", "python"])
def either_parser(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Run the test with libyaml's parser and with PyYAML's own."""
    if request.param == "libyaml" and not yaml.__with_libyaml__:
        pytest.skip("PyYAML was built without libyaml here")
    monkeypatch.setattr(yaml, "__with_libyaml__", request.param == "libyaml")
    yaml_io._loader.cache_clear()
    yield
    yaml_io._loader.cache_clear()


def read(text: str) -> object:
    document = yaml_io.parse(text, file="x.yaml")
    assert not document.problems
    return document.data


def refused(text: str) -> list[str]:
    try:
        return [str(problem) for problem in yaml_io.parse(text, file="x.yaml").problems]
    except InputError as error:
        return [str(problem) for problem in error.problems]


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((word, word) for word in ("on", "off", "yes", "no", "On", "YES", "y", "n")),
        *((word, True) for word in ("true", "True", "TRUE")),
        *((word, False) for word in ("false", "False", "FALSE")),
        *((word, None) for word in ("null", "Null", "NULL", "~", "")),
        ("12:30", "12:30"),
        ("190:20:30", "190:20:30"),
        ("2024-05-01", "2024-05-01"),
        ("1_000", "1_000"),
        ("5", 5),
        ("-5", -5),
        ("+5", 5),
        ("010", 10),
        ("0o10", 8),
        ("0x1F", 31),
        ("1e9", 1e9),
        ("1E-3", 1e-3),
        ("1.5", 1.5),
        (".5", 0.5),
        ("5.", 5.0),
        ("-.inf", -math.inf),
        (".inf", math.inf),
        ("400 Gbit/s", "400 Gbit/s"),
        ("'5'", "5"),
        ('"true"', "true"),
        ("!!str 5", "5"),
        ("!!int '5'", 5),
        ("=", "="),
    ],
)
def test_scalars_follow_the_core_schema_of_yaml_1_2(text: str, value: object) -> None:
    got = read(f"a: {text}")
    assert got == {"a": value}
    assert type(got["a"]) is type(value)  # type: ignore[index]


@pytest.mark.usefixtures("either_parser")
def test_not_a_number_is_read_as_one() -> None:
    assert math.isnan(read("a: .nan")["a"])  # type: ignore[index]


@pytest.mark.usefixtures("either_parser")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: 2\na: 3\n", "x.yaml:3:1: a: given twice; first on line 1"),
        ("a: {b: 1, b: 2}\n", "x.yaml:1:11: a.b: given twice; first on line 1"),
        ("<<: {a: 1}\n", "x.yaml:1:1: <<: merge keys ('<<') are not taken; "),
        ("1: a\n", "x.yaml:1:1: 1: this cannot be a key; keys are text"),
        ("true: a\n", "x.yaml:1:1: true: this cannot be a key; keys are text"),
        ("? [a]\n: b\n", "x.yaml:1:3: ?: this cannot be a key; keys are text"),
        ("a: !x 1\n", "x.yaml:1:4: a: tag '!x' is not taken here"),
        ("a: !!set {b, c}\n", "x.yaml:1:4: a: tag '!!set' is not taken here"),
        ("a: !!int x\n", "x.yaml:1:4: a: 'x' is not a valid int"),
        ("a: !!bool on\n", "x.yaml:1:4: a: 'on' is not a valid bool"),
        ("a: &a [*a]\n", "a[0]: an alias may not stand inside its own anchor"),
        ("a: *b\n", "x.yaml:1:4: no anchor of this name stands before it"),
        ("a:\n\t- b\n", "x.yaml:2:1: a tab cannot indent YAML; use spaces"),
        ("a: 1\n\tb: 2\n", "a tab cannot indent YAML; use spaces"),
        ("a: b: c\n", "x.yaml:1:5: a field is not expected here; check the indentation"),
        ("a: 1\n---\nb: 2\n", "x.yaml:2:1: a second document begins here"),
        ("a: @b\n", "x.yaml:1:4: text that begins with this character needs quotes"),
        ("a: 'b\n", "found unexpected end of stream"),
        ("a: \x01\n", "x.yaml:1:4: is not YAML: "),
        ("", "x.yaml:1:1: the file is empty"),
        ("# only this\n", "x.yaml:1:1: the file is empty"),
        (f"a: {'9' * 5000}\n", "is not a valid int"),
        ("[" * 300 + "]" * 300, "nested more than 100 levels deep"),
    ],
)
def test_what_is_refused_is_told_with_its_position(text: str, message: str) -> None:
    assert any(message in problem for problem in refused(text)), refused(text)


def test_all_that_is_refused_in_a_parsed_file_is_told_at_once() -> None:
    assert len(refused("a: 1\na: 2\n3: x\n<<: {}\nb: !c d\n")) == 4


def test_of_a_key_given_twice_the_first_value_is_kept() -> None:
    assert yaml_io.parse("a: 1\na: 2\n", file="x.yaml").data == {"a": 1}


@pytest.mark.usefixtures("either_parser")
def test_every_value_knows_where_it_stands() -> None:
    place = yaml_io.parse("a: 1\nbc:\n  d: [x, yy, z]\n  - e: 1\n".replace("  - e: 1\n", ""), file="f").place
    found = {path: place.find(path) for path in [(), ("a",), ("bc",), ("bc", "d"), ("bc", "d", 2)]}
    assert {path: (one.line, one.column) for path, one in found.items()} == {
        (): (1, 1),
        ("a",): (1, 1),
        ("bc",): (2, 1),
        ("bc", "d"): (3, 3),
        ("bc", "d", 2): (3, 14),
    }


def test_a_missing_field_stands_where_its_mapping_begins() -> None:
    place = yaml_io.parse("a: 1\nb:\n  c: {d: 1}\n", file="f").place
    assert (place.find(("b", "c", "nothing")).line, place.find(("b", "c", "nothing")).column) == (3, 3)
    assert place.find(("nothing", 0, "x")).line == 1


def test_aliases_share_the_value_that_their_anchor_names() -> None:
    assert read("a: &x {b: 1}\nc: *x\nd: [*x, *x]\n") == {"a": {"b": 1}, "c": {"b": 1}, "d": [{"b": 1}] * 2}


def test_nested_aliases_do_not_multiply_the_work() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60)]
    assert len(read("\n".join(lines))) == 60  # 2⁶⁰ scalars if each alias were walked again


def test_a_file_that_is_not_utf_8_is_told_where(tmp_path: Path) -> None:
    path = tmp_path / "latin.yaml"
    path.write_bytes("a: 1\nb: caf\xe9\n".encode("latin-1"))
    with pytest.raises(InputError, match=r"latin\.yaml:2:7: is not UTF-8 text"):
        yaml_io.read(path)


def test_a_byte_order_mark_is_no_part_of_the_first_key(tmp_path: Path) -> None:
    path = tmp_path / "marked.yaml"
    path.write_bytes(b"\xef\xbb\xbfa: 1\n")
    assert yaml_io.read(path).data == {"a": 1}


def test_a_file_that_is_not_there_and_a_folder_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere\.yaml: no such file"):
        yaml_io.read(tmp_path / "nowhere.yaml")
    with pytest.raises(InputError, match="is a folder, a file is due"):
        yaml_io.read(tmp_path)


def test_a_file_of_a_hundred_thousand_lines_is_read_with_its_positions() -> None:
    job = "  - name: w{}\n    kind: training\n    model: gpt2\n    gpus: 1\n    steps: 4\n"
    text = "workloads:\n" + "".join(job.format(number) for number in range(20_000))
    document = yaml_io.parse(text, file="long.yaml")
    assert len(document.data["workloads"]) == 20_000
    assert document.place.find(("workloads", 19_999, "steps")).line == 100_001


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("800Gbit/s", "800Gbit/s"),
        ("4", 4),
        ("1.5", 1.5),
        ("true", True),
        ("null", None),
        ("", ""),
        ("on", "on"),
    ],
)
def test_a_value_given_on_the_command_line_reads_as_in_a_file(text: str, value: object) -> None:
    assert yaml_io.parse_value(text) == value


def test_a_value_may_be_a_list_or_a_mapping_in_flow_style() -> None:
    assert yaml_io.parse_value("[0, 1]") == [0, 1]
    assert yaml_io.parse_value("{kind: star, nodes: 2}") == {"kind": "star", "nodes": 2}


@pytest.mark.parametrize("text", ["[1, 2", "{a: 1, a: 2}", "a: b: c", "!x y"])
def test_text_that_is_no_value_is_refused(text: str) -> None:
    with pytest.raises(InputError, match="is not a value"):
        yaml_io.parse_value(text)


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20)
documents = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
)
TRICKY = [
    "on",
    "no",
    "1e9",
    "0o7",
    "0x1",
    "12:30",
    "~",
    "null",
    ".5",
    "<<",
    "2024-05-01",
    "a: b",
    "# x",
    "- x",
    "",
]


@given(documents)
def test_what_is_written_reads_back_equal(data: object) -> None:
    text = yaml_io.dump({"root": data})
    try:
        document = yaml_io.parse(text, file="x.yaml")
    except InputError as error:  # control characters and the like, which libyaml writes escaped
        pytest.fail(str(error))
    refusals = [problem for problem in document.problems if "merge keys" not in problem.message]
    assert not refusals
    if not document.problems:
        assert document.data == {"root": data}


@pytest.mark.parametrize("text", TRICKY)
def test_text_that_looks_like_something_else_is_quoted(text: str) -> None:
    assert read(yaml_io.dump({"a": text})) == {"a": text}


def test_lists_of_scalars_stay_on_one_line_and_keys_keep_their_order() -> None:
    data = {"z": [1, 2], "a": {"c": None, "b": []}, "m": [{"x": 1}], "t": "two\nlines\n"}
    expected = "z: [1, 2]\na:\n  c: null\n  b: []\nm:\n  - x: 1\nt: |\n  two\n  lines\n"
    assert yaml_io.dump(data) == expected
