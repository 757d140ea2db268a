"""What pydantic finds wrong with input → sentences for its writer: which key, what is expected there, and an example."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from difflib import get_close_matches
from typing import Any, get_args

from pydantic import BaseModel
from pydantic_core import ErrorDetails

from recwatch.core.wording import clean

_WHOLE, _NUMBER, _LIST = "a whole number, such as 5", "a number, such as 0.5", "a list, such as [first, second]"
_WANTED: Mapping[str, str] = {
    "string_type": "text, such as shop, in quotes where it looks like a number",
    "string_too_short": "text that is not empty",
    "string_too_long": "text of at most {max_length} characters",
    "string_pattern_mismatch": "text of the form {pattern}",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "greater_than": "a number greater than {gt}",
    "greater_than_equal": "a number of at least {ge}",
    "less_than": "a number less than {lt}",
    "less_than_equal": "a number of at most {le}",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "tuple_type": _LIST,
    "list_type": _LIST,
    "too_short": "a list of at least {min_length}, such as [first]",
    "too_long": "a list of at most {max_length}",
    "dict_type": "keys with their values below it, such as 'name: value'",
    "mapping_type": "keys with their values below it, such as 'name: value'",
    "path_type": "the path of a file, such as /run/secrets/token",
    "literal_error": "one of {expected}",
    "enum": "one of {expected}",
    "union_tag_invalid": "one of {expected_tags} as its {discriminator}",
    "union_tag_not_found": "keys with their values below it, {discriminator} among them",
    "url_type": "an address, such as https://chat.example/hook",
    "url_parsing": "an address, such as https://chat.example/hook",
    "url_scheme": "an address that begins with one of {expected_schemes}",
    "url_too_long": "an address of at most {max_length} characters",
    "byte_size": "a size, such as 10MB",
    "byte_size_unit": "a size in bytes or with a unit, such as 10MB",
}
"""What belongs where a fault of this type is; the names in braces are of pydantic's context."""
_SECRETIVE = "url_"  # an address may hold a token
_USER_OF_ADDRESS = re.compile(r"//\S*@")
_OWN = ("value_error", "assertion_error")


def sentences(faults: Sequence[ErrorDetails], model: type[BaseModel]) -> list[str]:
    """A sentence for each fault of input for `model`, without a full stop, naming the key and where there is one an example.

    >>> from pydantic import ValidationError
    >>> class Port(BaseModel):
    ...     port: int
    >>> try:
    ...     Port.model_validate({"port": "eighty"})
    ... except ValidationError as error:
    ...     sentences(error.errors(), Port)
    ["key 'port' is 'eighty'; write a whole number, such as 5"]
    """
    return [_sentence(fault, model) for fault in _causes(faults)]


def keys_of(model: type[BaseModel]) -> str:
    """The keys that may stand there."""
    return ", ".join(field.alias or name for name, field in model.model_fields.items())


def _causes(faults: Sequence[ErrorDetails]) -> Iterator[ErrorDetails]:
    """The faults but for lists that are too short only because what they hold is at fault."""
    for fault in faults:
        depth = len(fault["loc"])
        inner = any(other["loc"][:depth] == fault["loc"] and len(other["loc"]) > depth for other in faults)
        if not (fault["type"] == "too_short" and inner):
            yield fault


def _sentence(fault: ErrorDetails, model: type[BaseModel]) -> str:
    location, kind = fault["loc"], fault["type"]
    if kind == "json_invalid":
        return f"it is no JSON: {clean(fault['ctx']['error'])}"
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{clean(part)}" for part in location).lstrip(".")
    where = f"key '{path}'" if location else "it"
    if kind in _OWN:
        said = fault["msg"].partition(", ")[2]
        return f"{where}{_is(fault)}: {said}" if location else said
    if kind == "extra_forbidden":
        there = _model_at(location[:-1], model)
        return f"unknown {where}.{_meant(location[-1], there)} Valid keys there: {keys_of(there)}"
    if kind == "missing":
        return f"{where} is missing. Add it"
    if kind == "invalid_key":
        return f"{where} is no text. Put it in quotes"
    return f"{where}{_is(fault)}; write {_wanted(fault, model)}"


def _meant(key: int | str, model: type[BaseModel]) -> str:
    likely = get_close_matches(str(key), keys_of(model).split(", "), 1)
    return f" Did you mean '{likely[0]}'?" if likely else ""


def _wanted(fault: ErrorDetails, model: type[BaseModel]) -> str:
    if fault["type"] in ("model_type", "model_attributes_type", "dataclass_type"):
        return f"keys with their values below it, of {keys_of(_model_at(fault['loc'], model))}"
    wanted = _WANTED.get(fault["type"], "something else that the documentation of this key allows")
    return wanted.format_map(fault.get("ctx", {}))


def _is(fault: ErrorDetails) -> str:
    """What stands there, as far as that helps and is safe to show."""
    value = fault["input"]
    if value is None:
        return " is empty"
    if fault["type"] == "union_tag_invalid":
        return " has the {} '{}'".format(fault["ctx"]["discriminator"].strip("'"), clean(str(fault["ctx"]["tag"])))
    if isinstance(value, Mapping | Sequence) and not isinstance(value, str | bytes):
        what = "a list" if isinstance(value, Sequence) else "keys with values"
        return "" if fault["type"] in _OWN else f" is {what}"
    if fault["type"].startswith(_SECRETIVE):
        return " cannot be used"
    return f" is {clean(_USER_OF_ADDRESS.sub('//…@', repr(value)))}"


def _model_at(location: tuple[int | str, ...], root: type[BaseModel]) -> type[BaseModel]:
    """The model at `location`; list indices and the tags of unions are passed over."""
    model = root
    candidates: list[type[BaseModel]] = []
    for part in location:
        if part in model.model_fields:
            candidates = list(_models_in(model.model_fields[str(part)].annotation))
        elif isinstance(part, str):
            candidates = [m for m in candidates if part in _tags(m)]
        model = candidates[0] if candidates else model
    return model


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _models_in(inner)


def _tags(model: type[BaseModel]) -> Iterator[Any]:
    """The texts by which a union may tell that this model is meant."""
    for field in model.model_fields.values():
        yield from get_args(field.annotation)
