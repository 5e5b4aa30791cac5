"""YAML in and out: the only module that knows YAML.

Reading takes the scalars of YAML 1.2's core schema: `true` and `false` are the only
booleans (`on`, `off`, `yes`, `no` are text), `1e9` is a number, `12:30` and dates are
text. A key given twice is refused, anchors and aliases are allowed, merge keys (`<<`,
not part of YAML 1.2) are refused. Every value keeps its position.

Source: YAML 1.2.2 specification (yaml.org/spec/1.2.2), section 10.3.2, tag resolution.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from clustersim.errors import InputError, PathPart, Problem
from clustersim.spec._places import Place

if TYPE_CHECKING:
    import yaml

__all__ = ["Document", "dump", "parse", "parse_value", "read"]

_TAG = "tag:yaml.org,2002:"
_INT = re.compile(r"[-+]?[0-9]+|0o[0-7]+|0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)"
)
_CORE_SCHEMA: tuple[tuple[str, re.Pattern[str], list[str]], ...] = (
    ("null", re.compile(r"~|null|Null|NULL|"), [*"~nN", ""]),
    ("bool", re.compile(r"true|True|TRUE|false|False|FALSE"), [*"tTfF"]),
    ("int", _INT, [*"-+0123456789"]),
    ("float", _FLOAT, [*"-+.0123456789"]),
)
# What libyaml and PyYAML say, in both their wordings, and what it means to the writer of a file.
_PLAIN_WORDS = (
    (
        re.compile("mapping values are not allowed"),
        "a field is not expected here; check the indentation, and quote text that holds ': '",
    ),
    (re.compile("found undefined alias"), "no anchor of this name stands before it"),
    (re.compile("found another document"), "a second document begins here; a file holds one"),
    (re.compile("that cannot start any token"), "text that begins with this character needs quotes"),
)
_RARE_BREAKS = re.compile("[\x85\u2028\u2029]")  # PyYAML writes these as plain line breaks unless quoted
_NESTING_LIMIT = 100
_LINE_WIDTH = 100


class Document(NamedTuple):
    """What a file says, and where it says it."""

    data: Any
    """Mappings, lists, text, numbers, booleans and None."""
    place: Place
    """Position of the root, and of everything in it."""
    problems: tuple[Problem, ...] = ()
    """What was refused though the text could be parsed; `data` lacks it."""


def read(path: Path | str, *, label: str | None = None) -> Document:
    """Read a YAML file; `label` is what messages call it, by default its path.

    Raises
    ------
    InputError
        If there is no such file, or as `parse`.
    """
    try:
        raw = Path(path).read_bytes()
    except FileNotFoundError:
        raise InputError(Problem((), "no such file", file=label or str(path))) from None
    except IsADirectoryError:
        raise InputError(Problem((), "is a folder, a file is due", file=label or str(path))) from None
    except OSError as error:
        raise InputError(Problem((), f"cannot be read: {error.strerror}", file=label or str(path))) from None
    return parse(raw, file=label or str(path))


def parse(source: str | bytes, *, file: str) -> Document:
    """Read YAML text; `file` is what messages call it.

    Keys given twice, keys that are not text, merge keys and unknown tags are refused by
    the `problems` of what is returned, so that they can be told together with what else
    is wrong in the file.

    Raises
    ------
    InputError
        For text that is no YAML at all: one problem.
    """
    import yaml

    text = source if isinstance(source, str) else _decode(source, file)
    try:
        node = yaml.compose(text, Loader=_loader())
    except yaml.YAMLError as error:
        raise InputError(_syntax_problem(error, text, file)) from None
    except RecursionError:
        raise InputError(Problem((), "is nested too deeply", file=file)) from None
    if node is None:
        raise InputError(Problem((), "the file is empty", file, 1, 1))
    builder = _Builder(file)
    data, children = builder.build(node, ())
    return Document(data, Place(file, 1, 1, children), tuple(builder.problems))


def _decode(raw: bytes, file: str) -> str:
    try:
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = raw[: error.start]
        line, column = before.count(b"\n") + 1, error.start - before.rfind(b"\n")
        raise InputError(Problem((), "is not UTF-8 text", file, line, column)) from None


def parse_value(text: str) -> Any:
    """Read the value of a `--set path=value`: a scalar, or a list or mapping in flow style.

    Raises
    ------
    InputError
        If the text is no YAML value.
    """
    if not text.strip():
        return ""
    try:
        document = parse(text, file="")
        problems = document.problems
    except InputError as error:
        problems = error.problems
    if problems:
        raise InputError(f"'{text}' is not a value: {'; '.join(problem.message for problem in problems)}")
    return document.data


def dump(data: Any) -> str:
    """Write plain data as block-style YAML, keys in their order; lists of scalars stay on one line.

    What `parse` reads back is equal to `data`.
    """
    import yaml

    return str(yaml.dump(data, Dumper=_dumper(), sort_keys=False, allow_unicode=True, width=_LINE_WIDTH))


class _Builder:
    """Turns the parser's nodes into data and places; collects every problem on the way."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.problems: list[Problem] = []
        self._done: dict[int, tuple[Any, Mapping[PathPart, Place]]] = {}
        self._open: set[int] = set()

    def build(self, node: yaml.Node, path: tuple[PathPart, ...]) -> tuple[Any, Mapping[PathPart, Place]]:
        """Return the data of a node and the places inside it; an aliased node is built once."""
        import yaml

        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, path), {}
        identity = id(node)
        if identity in self._done:
            return self._done[identity]
        if identity in self._open:
            self._refuse(node, path, "an alias may not stand inside its own anchor")
            return None, {}
        if len(path) > _NESTING_LIMIT:
            self._refuse(node, path[:1], f"nested more than {_NESTING_LIMIT} levels deep")
            return None, {}
        self._open.add(identity)
        build = self._mapping if isinstance(node, yaml.MappingNode) else self._sequence
        self._done[identity] = result = build(node, path)
        self._open.discard(identity)
        return result

    def _mapping(self, node: Any, path: tuple[PathPart, ...]) -> tuple[Any, Mapping[PathPart, Place]]:
        self._check_tag(node, path, ("map",))
        data: dict[str, Any] = {}
        places: dict[PathPart, Place] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path, places)
            if key is not None:
                value, children = self.build(value_node, (*path, key))
                data[key] = value
                mark = key_node.start_mark
                places[key] = Place(self.file, mark.line + 1, mark.column + 1, children)
        return data, places

    def _key(self, node: Any, path: tuple[PathPart, ...], places: Mapping[PathPart, Place]) -> str | None:
        if not isinstance(node.value, str) or node.tag != f"{_TAG}str":
            shown = node.value if isinstance(node.value, str) else "?"
            self._refuse(node, (*path, shown), "this cannot be a key; keys are text")
            return None
        key = node.value
        if key == "<<":
            self._refuse(
                node,
                (*path, key),
                "merge keys ('<<') are not taken; repeat the fields, or alias the whole value",
            )
            return None
        if key in places:
            self._refuse(node, (*path, key), f"given twice; first on line {places[key].line}")
            return None
        return str(key)

    def _sequence(self, node: Any, path: tuple[PathPart, ...]) -> tuple[Any, Mapping[PathPart, Place]]:
        self._check_tag(node, path, ("seq",))
        data: list[Any] = []
        places: dict[PathPart, Place] = {}
        for index, item in enumerate(node.value):
            value, children = self.build(item, (*path, index))
            data.append(value)
            places[index] = Place(self.file, item.start_mark.line + 1, item.start_mark.column + 1, children)
        return data, places

    def _scalar(self, node: Any, path: tuple[PathPart, ...]) -> Any:
        if self._check_tag(node, path, tuple(_SCALARS)):
            try:
                return _SCALARS[node.tag.removeprefix(_TAG)](node.value)
            except (ValueError, KeyError):
                self._refuse(node, path, f"'{node.value[:40]}' is not a valid {node.tag.removeprefix(_TAG)}")
        return None

    def _check_tag(self, node: Any, path: tuple[PathPart, ...], known: tuple[str, ...]) -> bool:
        if node.tag.startswith(_TAG) and node.tag.removeprefix(_TAG) in known:
            return True
        self._refuse(node, path, f"tag '{node.tag.replace(_TAG, '!!')}' is not taken here")
        return False

    def _refuse(self, node: Any, path: tuple[PathPart, ...], message: str) -> None:
        self.problems.append(
            Problem(path, message, self.file, node.start_mark.line + 1, node.start_mark.column + 1)
        )


def _to_int(text: str) -> int:
    return int(text, {"0o": 8, "0x": 16}.get(text[:2], 10))


_SCALARS: Mapping[str, Callable[[str], Any]] = {
    "str": str,
    "null": lambda text: None,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "int": _to_int,
    "float": lambda text: float(re.sub(r"\.(?=[iInN])", "", text)),
}


def _syntax_problem(error: yaml.YAMLError, text: str, file: str) -> Problem:
    mark = getattr(error, "problem_mark", None)
    if mark is None:
        position = getattr(error, "position", 0)
        before = text[:position] if isinstance(position, int) else ""
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        return Problem((), f"is not YAML: {getattr(error, 'reason', None) or error}", file, line, column)
    message = str(getattr(error, "problem", None) or error)
    context, start = getattr(error, "context", None), getattr(error, "context_mark", None)
    plain = next((words for pattern, words in _PLAIN_WORDS if pattern.search(message)), None)
    if _has_tab(text, mark.line, mark.column):
        message = "a tab cannot indent YAML; use spaces"
    elif plain is not None:
        message = plain
    elif context and start is not None and start.line != mark.line:
        message = f"{message} ({context} from line {start.line + 1})"
    return Problem((), message, file, mark.line + 1, mark.column + 1)


def _has_tab(text: str, line: int, column: int) -> bool:
    lines = text.split("\n")
    return line < len(lines) and "\t" in lines[line][: column + 1]


@cache
def _loader() -> type[Any]:
    """Build the parser class: libyaml's where it is there, PyYAML's own otherwise."""
    import yaml

    base: Any = yaml.CSafeLoader if yaml.__with_libyaml__ else yaml.SafeLoader
    return _with_core_schema(type("_Loader", (base,), {"yaml_implicit_resolvers": {}}))


def _with_core_schema(resolver: type[Any]) -> type[Any]:
    """Let a parser or writer class tell core schema scalars from text."""
    for name, pattern, first in _CORE_SCHEMA:
        resolver.add_implicit_resolver(_TAG + name, re.compile(rf"(?:{pattern.pattern})\Z"), first)
    return resolver


@cache
def _dumper() -> type[Any]:
    """Build the writer class: it quotes what YAML 1.1 or 1.2 would read as something else than text."""
    import yaml

    class _Dumper(yaml.SafeDumper):
        def ignore_aliases(self, data: Any) -> bool:
            return True

        def increase_indent(self, flow: bool = False, indentless: bool = False) -> Any:
            return super().increase_indent(flow, False)

    def _list(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
        flat = not any(isinstance(item, (dict, list, tuple)) for item in data)
        return dumper.represent_sequence(f"{_TAG}seq", data, flow_style=flat)

    def _text(dumper: yaml.SafeDumper, data: str) -> yaml.Node:
        style = '"' if _RARE_BREAKS.search(data) else "|" if "\n" in data.strip() else None
        return dumper.represent_scalar(f"{_TAG}str", data, style=style)

    def _mapping(dumper: yaml.SafeDumper, data: Any) -> yaml.Node:
        return dumper.represent_mapping(f"{_TAG}map", data.items(), flow_style=not data)

    _Dumper.add_representer(list, _list)
    _Dumper.add_representer(tuple, _list)
    _Dumper.add_representer(str, _text)
    _Dumper.add_representer(dict, _mapping)
    return _with_core_schema(_Dumper)
