"""The base of all documents, with a JSON schema that form builders show as plain inputs."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, ValidationError, field_validator
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema


def title_of(name: str) -> str:
    """A name as people write it: `batch_size` is "Batch size"."""
    return name.replace("_", " ").capitalize()


def field_title(name: str, _: FieldInfo | ComputedFieldInfo) -> str:
    """Label a field of a model."""
    return title_of(name)


def form_schema(schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Make a model's JSON schema with one plain type a field and no nulls.

    Form builders show an `anyOf` with null as tabs nobody asked for. A field that may be None is
    merely not required: leaving it out says the same.
    """
    result = handler(schema)
    properties = handler.resolve_ref_schema(result).get("properties", {})
    for name, field in properties.items():
        properties[name] = _without_null(field)
    return result


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    rest = dict(field)
    if rest.get("default", ...) is None:
        del rest["default"]
    elif isinstance(rest.get("default"), dict):
        rest["default"] = {key: one for key, one in rest["default"].items() if one is not None}
    branches = [one for one in field.get("anyOf", ()) if one.get("type") != "null"]
    if len(branches) != 1:
        return rest
    del rest["anyOf"]
    return {**branches[0], **rest}


_MOST_ERRORS = 10
_WORDS = {
    "missing": "this is missing: fill it in",
    "extra_forbidden": "there is no such field: correct its name, or leave it out",
    "string_type": "this must be text",
    "string_unicode": "this contains half of a character, which is no text: type it again",
    "string_too_short": "this is empty: fill it in",
    "model_type": "this must be a group of fields",
    "model_attributes_type": "this must be a group of fields",
    "tuple_type": "this must be a list",
    "too_short": "this list is empty: add an item",
}
"""Words for operators, by pydantic's types of errors."""


def in_words(error: ValidationError) -> str:
    """Say what is wrong with a document to the person who filled it in: each field, what to do.

    Values are not repeated, but where our own message does so.
    """
    found = error.errors(include_url=False, include_input=False)
    within = {one["loc"][:depth] for one in found for depth in range(len(one["loc"]))}
    # A list whose items are all wrong is not empty.
    errors = [one for one in found if one["type"] != "too_short" or one["loc"] not in within]
    said = [_in_words(one) for one in errors[:_MOST_ERRORS]]
    more = len(errors) - len(said)
    return "; ".join([*said, *([f"and {more} more"] if more else [])])


def _in_words(error: ErrorDetails) -> str:
    what = _WORDS.get(error["type"]) or error["msg"].removeprefix("Value error, ")
    path = [f"no. {one + 1}" if isinstance(one, int) else one for one in error["loc"]]
    return f"{' > '.join(path)}: {what}" if path else what


class Document(BaseModel):
    """Base of all parts: frozen, no unknown fields, and a schema that forms can show."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        str_strip_whitespace=True,
        validate_default=True,
        field_title_generator=field_title,
    )

    @field_validator("*", mode="before")
    @classmethod
    def _no_nul(cls, value: Any) -> Any:
        """U+0000 is no character of a text: PostgreSQL cannot store it, and no file has it in its
        name."""
        for number, text in enumerate(value if isinstance(value, list | tuple) else [value], 1):
            if isinstance(text, str) and (at := text.find("\0")) >= 0:
                item = f" of item {number}" if text is not value else ""
                raise ValueError(
                    f"character {at + 1}{item} is U+0000, which no text can hold: take it out"
                )
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return form_schema(schema, handler)
