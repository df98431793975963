"""The base class of all documents, with a JSON schema that forms show as plain inputs."""

from __future__ import annotations

from typing import Any, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    GetJsonSchemaHandler,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic.fields import ComputedFieldInfo, FieldInfo
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import ErrorDetails, core_schema


def title_of(name: str) -> str:
    """Return a name as people write it: `batch_size` is "Batch size"."""
    return name.replace("_", " ").capitalize()


def field_title(name: str, _: FieldInfo | ComputedFieldInfo) -> str:
    """Label a field of a model."""
    return title_of(name)


OUT_OF_FORM: dict[str, Any] = {"out of form": True}
"""`json_schema_extra` of a field that programs and files set, and that no form shows."""


def form_schema(schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
    """Make a model's JSON schema with one plain type for each field, without nulls.

    Forms show an `anyOf` with null as two tabs. Here, a field that may be None is merely not
    required, since leaving it out has the same meaning. A field that is OUT_OF_FORM becomes a
    pattern of its name: forms do not show patterns, and the check of parameters knows them.
    """
    result = handler(schema)
    resolved = handler.resolve_ref_schema(result)
    properties = resolved.get("properties", {})
    for name, field in [*properties.items()]:
        properties[name] = _without_null(field)
        if properties[name].pop("out of form", False):
            patterns = resolved.setdefault("patternProperties", {})
            patterns[f"^{name}$"] = properties.pop(name)
    return result


def _without_null(field: dict[str, Any]) -> dict[str, Any]:
    rest = dict(field)
    if rest.get("default", ...) is None:
        del rest["default"]
    elif isinstance(rest.get("default"), dict):
        set_values = {key: value for key, value in rest["default"].items() if value is not None}
        rest["default"] = set_values
    branches = [branch for branch in field.get("anyOf", ()) if branch.get("type") != "null"]
    if len(branches) != 1:
        return rest
    del rest["anyOf"]
    return {**branches[0], **rest}


_MOST_ERRORS = 10
_WORDS = {
    "missing": "this is missing: fill it in",
    "extra_forbidden": "there is no such field: correct its name, or leave it out",
    "string_type": "this must be text",
    "string_unicode": "this contains half of a character: type the text again",
    "string_too_short": "this is empty: fill it in",
    "model_type": "this must be a group of fields",
    "model_attributes_type": "this must be a group of fields",
    "decimal_type": "write a number",
    "decimal_max_digits": "this number is too large, or has too many digits",
    "tuple_type": "this must be a list",
    "too_short": "this list is empty: add an item",
}
"""Messages for operators, by pydantic's error types."""


def in_words(error: ValidationError) -> str:
    """Tell the person who filled in a document which fields are wrong, and how to fix them.

    Values are repeated only where a message of our own contains them.
    """
    details = error.errors(include_url=False, include_input=False)
    parents = {detail["loc"][:depth] for detail in details for depth in range(len(detail["loc"]))}
    # pydantic reports a list whose items are all wrong as too short as well.
    errors = [
        detail
        for detail in details
        if detail["type"] != "too_short" or detail["loc"] not in parents
    ]
    messages = [_message(detail) for detail in errors[:_MOST_ERRORS]]
    more = len(errors) - len(messages)
    return "; ".join([*messages, *([f"and {more} more"] if more else [])])


def _message(error: ErrorDetails) -> str:
    kind = error["type"]
    is_empty = kind != "string_too_short" or error.get("ctx", {}).get("min_length") == 1
    what = (_WORDS.get(kind) if is_empty else None) or error["msg"].removeprefix("Value error, ")
    path = [f"no. {part + 1}" if isinstance(part, int) else part for part in error["loc"]]
    return f"{' > '.join(path)}: {what}" if path else what


class Document(BaseModel):
    """The base of all documents: frozen, without unknown fields, and shown well by forms."""

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
        """Refuse U+0000: PostgreSQL cannot store it, and the name of a file cannot contain it."""
        for position, text in enumerate(value if isinstance(value, list | tuple) else [value], 1):
            if isinstance(text, str) and (at := text.find("\0")) >= 0:
                item = f" of item {position}" if text is not value else ""
                raise ValueError(
                    f"character {at + 1}{item} is U+0000, which no text can hold: remove it"
                )
        return value

    @field_validator("*", mode="before")
    @classmethod
    def _no_truth_as_number(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse true and false where a number is meant: pydantic would take them for 1 and 0."""
        if isinstance(value, bool) and _is_numeric(cls.model_fields[info.field_name or ""]):
            raise ValueError("write a number, not true or false")
        return value

    @classmethod
    def __get_pydantic_json_schema__(
        cls, schema: core_schema.CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return form_schema(schema, handler)


def _is_numeric(field: FieldInfo) -> bool:
    types = set(get_args(field.annotation) or [field.annotation])
    return types <= {int, float, type(None)}
