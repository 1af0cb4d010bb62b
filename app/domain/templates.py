"""Templates: `{{ … }}` in a task's text stands for a value, put in as checked text.

Only names, attributes and filters of a list may stand there. A value stands as it is where it has harmless characters
alone; any other is written as a literal of the task's language by `| quote`. All else in a text arrives as it was
written; a `{{` of the text's own is written `{{ '{{' }}`.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import date, datetime, time
from functools import cache, lru_cache
from typing import Any

from jinja2 import Environment, TemplateError, nodes
from jinja2.parser import Parser

from app.domain.errors import InvalidError, TooLargeError
from app.domain.parameters import CONTROL, ParameterValue
from app.domain.status import RunTrigger
from app.domain.tasks import TaskType
from app.domain.template_filters import FILTERS, Formatted, Quoted, literal

MAX_CHARACTERS = 1_000_000  # of the rendered text
MAX_EXPRESSIONS = 200
MAX_EXPRESSION = 500  # characters
MAX_NODES = 32  # of one expression
OPEN, CLOSE = "{{", "}}"
PIECES = re.compile(r"""[^'"}]+|'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|\}(?!\})""", re.DOTALL)
HARMLESS = re.compile(r"[A-Za-z0-9_.:/+-]*")
HARMLESS_MOMENT = re.compile(r"[A-Za-z0-9_.:/+ -]*")
COMMENT_SIGNS = frozenset({"--", "/*", "*/"})


@dataclass(frozen=True, kw_only=True, slots=True)
class RunFacts:
    number: int
    trigger: RunTrigger


@dataclass(frozen=True, kw_only=True, slots=True)
class PlaygroundFacts:
    name: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Scope:
    """What a text may name."""

    scheduled_for: datetime
    run: RunFacts
    playground: PlaygroundFacts
    parameters: Mapping[str, ParameterValue]

    def names(self) -> dict[str, Any]:
        return {
            **self.parameters,
            "scheduled_for": self.scheduled_for,
            "run": self.run,
            "playground": self.playground,
        }


DAY = frozenset({"year", "month", "day", "weekday", "isoweekday", "isoformat"})
CLOCK = frozenset({"hour", "minute", "second", "isoformat"})
ATTRIBUTES: Mapping[type, frozenset[str]] = {
    RunFacts: frozenset({"number", "trigger"}),
    PlaygroundFacts: frozenset({"name"}),
    datetime: DAY | CLOCK | {"date", "time", "timestamp"},
    date: DAY,
    time: CLOCK,
}
KNOWN_ATTRIBUTES = frozenset().union(*ATTRIBUTES.values())


@dataclass(frozen=True, kw_only=True, slots=True)
class _Expression:
    source: str
    start: int  # of its braces in the text
    end: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Parsed:
    tree: nodes.Expr
    names: frozenset[str]


class _ExpressionError(Exception):
    """What is wrong with an expression, and the word in it that is at fault."""

    def __init__(self, message: str, *, word: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.word = word


def is_template(text: str) -> bool:
    return OPEN in text


def names_in(text: str) -> set[str]:
    """The names that the expressions of a text use.

    Raises: InvalidError with line and column, TooLargeError.
    """
    found: set[str] = set()
    for expression in _expressions(text):
        try:
            found |= _parsed(expression.source).names
        except _ExpressionError as error:
            raise _refusal(text, expression, error) from error
    return found


def render(text: str, *, type: TaskType, scope: Scope) -> str:
    """The text with its values put in.

    Raises: InvalidError with line and column, TooLargeError.
    """
    names = scope.names()
    parts: list[str] = []
    length = position = 0
    for expression in _expressions(text):
        before = text[position : expression.start]
        try:
            value = _text_of(_parsed(expression.source), names, type=type)
        except _ExpressionError as error:
            raise _refusal(text, expression, error) from error
        last = (before or (parts[-1] if parts else ""))[-1:]
        around = last + value + text[expression.end : expression.end + 1]
        if {around[:2], around[-2:]} & COMMENT_SIGNS:
            message = f"The value {value[:40]!r} would begin or end a comment here; put a space between."
            raise _refusal(text, expression, _ExpressionError(message))
        parts += [part for part in (before, value) if part]
        position = expression.end
        length += len(before) + len(value)
        if length > MAX_CHARACTERS:
            raise TooLargeError(f"With its values the text has more than {MAX_CHARACTERS} characters.", path=("query",))
    return "".join((*parts, text[position:]))


def render_sample(text: str, *, type: TaskType, scope: Scope) -> str:
    """The text with the values of `scope`, and the word `sample` for every parameter that is not in it.

    Raises: InvalidError with line and column, TooLargeError.
    """
    samples = dict.fromkeys(names_in(text), "sample")
    parameters: dict[str, ParameterValue] = {**samples, **scope.parameters}
    whole = Scope(scheduled_for=scope.scheduled_for, run=scope.run, playground=scope.playground, parameters=parameters)
    return render(text, type=type, scope=whole)


def _expressions(text: str) -> Iterator[_Expression]:
    position, count = 0, 0
    while (start := text.find(OPEN, position)) >= 0:
        inside = end = start + len(OPEN)
        while not text.startswith(CLOSE, end):
            piece = PIECES.match(text, end)
            if piece is None or piece.end() - inside > MAX_EXPRESSION:
                message = f"«{OPEN}» is not closed by «{CLOSE}» within {MAX_EXPRESSION} characters. "
                hint = f"If the text means these two braces, write {OPEN} '{OPEN}' {CLOSE}."
                raise _place(text, start, message + hint)
            end = piece.end()
        position = end + len(CLOSE)
        count += 1
        if count > MAX_EXPRESSIONS:
            raise TooLargeError(f"A text has at most {MAX_EXPRESSIONS} places for values.", path=("query",))
        yield _Expression(source=text[inside:end], start=start, end=position)


@cache
def _grammar() -> Environment:
    return Environment(autoescape=True)  # the parser alone is used: expressions are walked, never made into code


@lru_cache(maxsize=1024)
def _parsed(source: str) -> _Parsed:
    """Raises: _ExpressionError."""
    try:
        parser = Parser(_grammar(), source, state="variable")
        tree = parser.parse_expression()
        if not parser.stream.eos:
            raise _ExpressionError(f"«{parser.stream.current.value}» is not expected here.")
        found = list(_walk(tree))
        if len(found) > MAX_NODES:
            raise _ExpressionError("The expression has too many parts.")
        for node in found:
            _check(node)
    except TemplateError as error:
        hint = f"If the text means the braces themselves, write {OPEN} '{OPEN}' {CLOSE}."
        raise _ExpressionError(f"This is no expression: {error.message}. {hint}") from error
    except RecursionError as error:
        raise _ExpressionError("The expression is nested too deeply.") from error
    names = frozenset(node.name for node in found if isinstance(node, nodes.Name))
    return _Parsed(tree=tree, names=names)


def _walk(tree: nodes.Node) -> Iterator[nodes.Node]:
    yield tree
    for child in tree.iter_child_nodes():
        yield from _walk(child)


def _check(node: nodes.Node) -> None:
    """Refuse what is not a name, an attribute, a filter of the list, or a constant.

    Raises: _ExpressionError.
    """
    match node:
        case nodes.Name() | nodes.Const() | nodes.Keyword():
            return
        case nodes.Getattr(attr=name) if name not in KNOWN_ATTRIBUTES:
            raise _ExpressionError(f"There is no attribute «{name}».", word=name)
        case nodes.Getattr():
            return
        case nodes.Neg(node=nodes.Const()):
            return
        case nodes.Filter(name=name) if name not in FILTERS:
            known = ", ".join(FILTERS)
            raise _ExpressionError(f"There is no filter «{name}». There are: {known}.", word=name)
        case nodes.Filter(dyn_args=None, dyn_kwargs=None):
            return
        case nodes.Call(node=nodes.Getattr(), dyn_args=None, dyn_kwargs=None):
            return
    raise _ExpressionError(f"Only names, attributes and filters may stand between {OPEN} and {CLOSE}.")


def _text_of(parsed: _Parsed, names: Mapping[str, Any], *, type: TaskType) -> str:
    """Raises: _ExpressionError."""
    for name in sorted(parsed.names - names.keys()):
        known = ", ".join(names)
        raise _ExpressionError(f"There is no «{name}». The names are: {known}.", word=name)
    try:
        value = _evaluate(parsed.tree, names)
    except (TypeError, ValueError, OverflowError) as error:
        raise _ExpressionError(f"{str(error).lstrip('_')}.") from error
    if isinstance(parsed.tree, nodes.Const):
        if CONTROL.search(str(value)):
            raise _ExpressionError("A text holds no control characters.")
        return str(value)  # the author's own
    match value:
        case Quoted():
            return literal(value.value, type)
        case bool():
            return str(value) if type is TaskType.PYSPARK else str(value).lower()
        case str() | int() | float() | date() | time():
            return _harmless(value)
    raise _ExpressionError("This gives no text: name one of its attributes, such as run.number.")


def _evaluate(node: nodes.Node, names: Mapping[str, Any]) -> Any:
    """Walk an expression that was checked.

    Raises: _ExpressionError; TypeError, ValueError, OverflowError of filters and methods.
    """
    match node:
        case nodes.Const(value=value):
            return value
        case nodes.Neg(node=inner):
            return -_evaluate(inner, names)
        case nodes.Name(name=name):
            return names[name]
        case nodes.Getattr(node=inner, attr=name):
            owner = _evaluate(inner, names)
            if name not in ATTRIBUTES.get(type(owner), ()):
                raise _ExpressionError(f"There is no attribute «{name}» here.", word=name)
            return getattr(owner, name)
        case nodes.Call(node=nodes.Expr() as inner) | nodes.Filter(node=nodes.Expr() as inner):
            value = _evaluate(inner, names)
            arguments = [_evaluate(each, names) for each in node.args]
            named = {str(each.key): _evaluate(each.value, names) for each in node.kwargs}
            call = FILTERS[node.name] if isinstance(node, nodes.Filter) else None
            return value(*arguments, **named) if call is None else call(value, *arguments, **named)
    raise AssertionError(node)


def _harmless(value: str | float | date | time) -> str:
    text = str(value)
    ours = isinstance(value, Formatted | date | time)
    if (HARMLESS_MOMENT if ours else HARMLESS).fullmatch(text) is None or any(sign in text for sign in COMMENT_SIGNS):
        raise _ExpressionError(
            f"The value {text[:40]!r} has characters that may not stand in a text as they are: only letters, digits "
            f"and _-.:/+ may. Put «| quote» behind the name: it writes a literal of the task's language."
        )
    return text


def _refusal(text: str, expression: _Expression, error: _ExpressionError) -> InvalidError:
    offset = expression.start
    if error.word is not None:
        found = re.search(rf"\b{re.escape(error.word)}\b", expression.source)
        offset += 0 if found is None else len(OPEN) + found.start()
    return _place(text, offset, error.message)


def _place(text: str, offset: int, message: str) -> InvalidError:
    line = text.count("\n", 0, offset) + 1
    column = offset - text.rfind("\n", 0, offset)
    return InvalidError(f"Line {line}, column {column}: {message}", path=("query",))
