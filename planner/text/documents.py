"""Files from outside: JSON documents and CSV tables, read whole, and with one line for what is wrong."""

from __future__ import annotations

import json
import math
import os
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

from planner.errors import InputError, PlannerError
from sampler.checks import shown as shown
from trainer.files import write_atomically, write_named

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from pydantic import TypeAdapter, ValidationError
    from pydantic_core import ErrorDetails

_T = TypeVar("_T")
_WHOLE = "the document"
# What is wanted where pydantic finds something else, by its type of error, in JSON's words.
_WANTED = {
    **{"int_type": "integer", "float_type": "number", "string_type": "string", "bool_type": "boolean"},
    **{"list_type": "array", "dict_type": "object"},
    **{"greater_than_equal": "at least {ge:g}", "greater_than": "more than {gt:g}"},
    **{"less_than_equal": "at most {le:g}", "less_than": "less than {lt:g}"},
    **{"too_short": "at least {min_length}", "too_long": "at most {max_length}"},
    **{"string_too_short": "at least {min_length} characters", "string_too_long": "at most {max_length} characters"},
}
_MOST_COLUMNS = 20  # named in an error
# Of the formula of a table alone; here, for readers of other formulas must know it when they see one.
CURVES_SCHEMA = "planner-curves/1"
# What others call our columns, in lower case; asked about, never guessed.
SYNONYMS = {
    "accuracy": ("top1", "top-1", "top_1", "acc", "acc1", "acc@1", "val_acc", "val_accuracy", "test_acc", "top1_acc"),
    "macs": ("flops", "gflops", "mflops", "gmacs", "mmacs", "madds", "multadds", "mult_adds", "mult-adds"),
    "latency_ms": ("latency", "ms", "time_ms", "step_time"),
    "resolution": ("image_size", "img_size", "input_size", "size", "px"),
}


def read_text(path: Path, largest: int, too_large: str, wanted: str) -> str:
    """The text of a file.

    Args:
        path: The file.
        largest: The most bytes it may have.
        too_large: Words for a larger one.
        wanted: Remedy where a file cannot be read: what to give instead.

    Raises:
        PlannerError: If it is missing, too large or no text.
    """
    try:
        if path.stat().st_size > largest:
            raise PlannerError(f"{path}: larger than {largest:,} bytes, so {too_large}")
        with path.open("rb") as file:  # a device has no size
            content = file.read(largest + 1)
        if len(content) > largest:
            raise PlannerError(f"{path}: larger than {largest:,} bytes, so {too_large}")
        if content.startswith((BOM_UTF16_LE, BOM_UTF16_BE)):
            raise PlannerError(f"{path}: UTF-16, as some editors save; save it as UTF-8")
        return content.decode("utf-8-sig")  # some editors set a byte order mark before it
    except (OSError, ValueError) as error:
        if isinstance(error, PlannerError):
            raise
        reason = getattr(error, "strerror", None) or "not text"
        raise PlannerError(f"{path}: {reason}; {wanted}") from error


def path_of(given: Any) -> Path:
    """The path that a caller names.

    Raises:
        PlannerError: If it names none.

    Example:
        >>> path_of("f.json").name
        'f.json'
    """
    if not isinstance(given, str | os.PathLike) or not str(given) or "\0" in str(given):
        raise PlannerError(f"{shown(given)} names no file; give a path such as 'formula.json'")
    return Path(given)


def parse(text: str) -> Any:
    """What a JSON text holds.

    Raises:
        ValueError: If it is not JSON, holds NaN or an infinite number, or one key of an object twice.
        RecursionError: If it is nested too deeply.
    """
    return json.loads(text, parse_float=_finite, parse_constant=_no_constant, object_pairs_hook=_once)


@dataclass(frozen=True)
class Format(Generic[_T]):
    """A kind of JSON document that the planner writes.

    Attributes:
        schema: Name of the schema, as documents say it.
        what: Name of such a document in errors.
        again: Remedy where one is damaged: how to come by a good one.
        read: Function from a document of the schema to what it holds; any error of its is the document's.
        largest: Most bytes of a file.
        others: Remedies for documents of other schemas that are taken for this one, by schema.
    """

    schema: str
    what: str
    again: str
    read: Callable[[dict[str, Any]], _T]
    largest: int = 16_000_000
    others: Mapping[str, str] = field(default_factory=dict)

    def load(self, path: Path, wanted: str) -> _T:
        """What a file holds.

        Args:
            path: The file.
            wanted: Remedy where a file cannot be read: what to give instead.

        Raises:
            PlannerError: If it is missing, too large, or as `loads` says.
        """
        return self.loads(read_text(path, self.largest, f"no {self.what}; {wanted}", wanted), str(path))

    def loads(self, text: str, name: str) -> _T:
        """What a text holds; `name` is what errors call it.

        Raises:
            PlannerError: If it is no JSON, or as `of` says.
        """
        try:
            document = parse(text)
        except (ValueError, RecursionError) as error:
            raise PlannerError(f"{name}: not a {self.what} file ({error}); {self.again}") from error
        return self.of(document, name)

    def of(self, document: Any, name: str) -> _T:
        """What a document holds.

        Raises:
            PlannerError: If it is of another schema, or damaged.
        """
        if not isinstance(document, dict) or document.get("schema") != self.schema:
            given = document.get("schema") if isinstance(document, dict) else None
            if isinstance(given, str) and given in self.others:
                raise PlannerError(f"{name}: {self.others[given]}")
            schema = shown(given) if isinstance(document, dict) else type(document).__name__
            raise PlannerError(f"{name}: schema {schema} is unknown, {self.schema!r} is read; {self.again}")
        try:
            return self.read(document)
        except InputError as error:
            raise PlannerError(f"{name}: {error}; {self.again}") from error
        except (KeyError, TypeError, AttributeError, ValueError, ArithmeticError, RecursionError) as error:
            what = f"{type(error).__name__}: {error}"
            raise PlannerError(f"{name}: damaged {self.what} ({what}); {self.again}") from error


def read_as(model: TypeAdapter[_T], document: Any) -> _T:
    """What a document holds, as a model reads it.

    Raises:
        PlannerError: Naming the first place where it departs from the model, and what is wanted there.
    """
    from pydantic import ValidationError

    try:
        return model.validate_python(document)
    except ValidationError as error:
        raise PlannerError(_departure(error, document)) from error


def _departure(error: ValidationError, document: Any) -> str:
    """The first place where a document departs from its model and what is wanted there, in one line."""
    errors = error.errors(include_url=False)
    place = _place(errors[0], document)
    here = [each for each in errors if _place(each, document) == place]  # several where any of them would do
    first = here[0]
    if first["type"] == "missing":
        return f"{place} is missing"
    if first["type"] == "value_error":
        return f"{place}: {first['ctx']['error']}"
    if first["type"] == "extra_forbidden":
        return f"{place} is unknown"
    wanted = " or ".join(dict.fromkeys(_wanted(each) for each in here))
    return f"{place or _WHOLE} is {shown(first['input'])}; {wanted} is wanted"


def _place(error: ErrorDetails, document: Any) -> str:
    """Where an error is, from the outside in; pydantic names the alternatives of a type on the way, too."""
    value, place = document, ""
    for step in error["loc"]:
        if isinstance(value, list) and isinstance(step, int):
            value, place = value[step], f"{place}[{step}]"
        elif isinstance(value, dict) and (step in value or error["type"] == "missing"):
            name = shown(step)[1:-1]
            value, place = value.get(step), f"{place}.{name}" if place else name
    return place


def _wanted(error: ErrorDetails) -> str:
    context = error.get("ctx", {})
    if error["type"] == "literal_error":
        expected = str(context["expected"])
        words = expected.replace("' or '", "', '").replace("'", "") if " or " in expected else expected
        return f"one of {words}" if " or " in expected else words
    return _WANTED.get(error["type"], error["msg"]).format(**context)


def write_out(path: Path, content: str | bytes, remedy: str = "choose another --out") -> None:
    """Writes what a user named: a file whole or not at all; links, devices and pipes are written through.

    Raises:
        PlannerError: If it cannot be written; says why, and the remedy.
    """
    with _refused(path, remedy):
        write_named(path, content)


def write_own(
    path: Path, content: str | bytes, remedy: str = "free space or rights, then run again", mode: int = 0o666
) -> None:
    """Writes a file of a study's own, whole or not at all; a link that somebody put there is replaced.

    Raises:
        PlannerError: If it cannot be written; says why, and the remedy.
    """
    with _refused(path, remedy):
        write_atomically(path, content, mode)


def write_figure(figure: Figure, path: Path) -> None:
    """Writes a picture in the format of its name, as `write_out` does."""
    stream = BytesIO()
    figure.savefig(stream, format=path.suffix[1:])
    write_out(path, stream.getvalue(), "name another file")


@contextmanager
def _refused(path: Path, remedy: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PlannerError(f"{path}: {error.strerror or error}; {remedy}") from error


def number(value: Any, name: str) -> float:
    """A finite number of a document.

    Raises:
        PlannerError: If it is something else.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise PlannerError(f"{name} is {value!r}; a finite number is wanted")
    return float(value)


def no_column(wanted: Sequence[str], columns: Iterable[Any]) -> str:
    """What to say of columns that a table lacks: which it has, and which could be meant.

    Example:
        >>> no_column(["depth"], ["depth_1", "macs"])
        'no column depth; its columns are depth_1, macs; did you mean depth_1?'
    """
    known = [str(column) for column in columns]
    more = f" and {len(known) - _MOST_COLUMNS} more" if len(known) > _MOST_COLUMNS else ""
    near = [name for column in wanted for name in _near(column, known)]
    remedy = f"did you mean {' or '.join(near)}?" if near else "add it, or rename the one that holds it"
    return f"no column {' or '.join(wanted)}; its columns are {', '.join(known[:_MOST_COLUMNS])}{more}; {remedy}"


def _near(wanted: str, known: Sequence[str]) -> list[str]:
    """Columns that could be the wanted one, by what others call it or by its spelling."""
    from difflib import get_close_matches

    lower = {column.lower(): column for column in known}
    alike = [name for name in lower if name.startswith(wanted.lower())][:3]
    named = [name for name in lower if name in SYNONYMS.get(wanted, ())]
    return list(dict.fromkeys(lower[name] for name in named or get_close_matches(wanted.lower(), lower) or alike))


def cell(value: Any) -> str:
    """What an error calls the cell of a table, of numpy's types too.

    Example:
        >>> cell(float("nan")), cell("200M"), cell(np.float64(-5))
        ('missing', "'200M'", '-5.0')
    """
    plain = value.item() if isinstance(value, np.generic) else value
    # Of all that stands in tables only what is missing differs from itself (NaN, NaT) or does not say (pandas' NA).
    missing = plain is None or type(plain).__name__ == "NAType" or plain != plain
    return "missing" if missing else repr(plain)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"{text[:40]} is too large a number")
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members: dict[str, Any] = {}
    for key, value in pairs:
        if key in members:
            raise ValueError(f"key {key[:40]!r} comes twice")
        members[key] = value
    return members


def _no_constant(name: str) -> float:
    raise ValueError(f"{name} is not allowed")
