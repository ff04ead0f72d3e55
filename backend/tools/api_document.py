"""Writes the API's contract for people, out of the application's OpenAPI document."""

from collections.abc import Iterator, Mapping
from http import HTTPStatus
from typing import Any

type Json = Mapping[str, Any]

METHODS = ("get", "post", "put", "patch", "delete")


def render(document: Json) -> str:
    """The whole page."""
    lines = [
        "# The backend's API",
        "",
        "<!-- Made by `uv run --frozen --directory backend python -m tools.documents`. -->",
        "",
        *_paragraphs(document["info"].get("description")),
    ]
    for path, item in document["paths"].items():
        for method in METHODS:
            if method in item:
                lines += _operation(method, path, item[method])
    lines += ["## Shapes", ""]
    for name, schema in sorted(document["components"]["schemas"].items()):
        lines += _shape(name, schema)
    return "\n".join(lines).rstrip() + "\n"


def _operation(method: str, path: str, operation: Json) -> Iterator[str]:
    yield f"## {method.upper()} {path}"
    yield ""
    yield from _paragraphs(operation.get("description"))
    yield "Acts for the user who is signed in." if operation.get("security") else "Public."
    yield ""
    if parameters := operation.get("parameters"):
        yield "| parameter | in | type | default | |"
        yield "| --- | --- | --- | --- | --- |"
        for parameter in parameters:
            schema = parameter["schema"]
            default = "required" if parameter["required"] else _default(schema)
            note = parameter.get("description", "")
            kind = _type(schema)
            yield f"| `{parameter['name']}` | {parameter['in']} | {kind} | {default} | {note} |"
        yield ""
    for media, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"Body: {_type(content['schema'])} as `{media}`."
        yield ""
    yield "| status | | body |"
    yield "| --- | --- | --- |"
    for status, response in sorted(operation["responses"].items()):
        yield f"| {status} | {_meaning(status, response)} | {_body(response)} |"
    yield ""


def _meaning(status: str, response: Json) -> str:
    given = response["description"]
    return HTTPStatus(int(status)).phrase if given == "Successful Response" else given


def _body(response: Json) -> str:
    contents = response.get("content", {}).items()
    return ", ".join(
        _type(content["schema"]) if media == "application/json" else f"`{media}`"
        for media, content in contents
    )


def _shape(name: str, schema: Json) -> Iterator[str]:
    yield f"### {name}"
    yield ""
    yield from _paragraphs(schema.get("description"))
    if "enum" in schema:
        yield f"One of {_values(schema['enum'])}."
    elif "properties" in schema:
        required = schema.get("required", [])
        yield "| field | type | default | |"
        yield "| --- | --- | --- | --- |"
        for field, its in schema["properties"].items():
            default = "required" if field in required else _default(its)
            yield f"| `{field}` | {_type(its)} | {default} | {its.get('description', '')} |"
    else:
        yield f"{_type(schema)}."
    yield ""


def _default(schema: Json) -> str:
    default = schema.get("default")
    return "" if default is None else f"`{default}`"


def _type(schema: Json) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return f"[{name}](#{name.lower()})"
    if either := schema.get("anyOf") or schema.get("oneOf"):
        return " or ".join(_type(one) for one in either)
    if "const" in schema:
        return _values([schema["const"]])
    if "enum" in schema:
        return _values(schema["enum"])
    kind = schema.get("type", "any")
    if kind == "array":
        return f"list of {_type(schema.get('items', {}))}"
    return " ".join([schema.get("format", kind), *_limits(schema)])


def _limits(schema: Json) -> Iterator[str]:
    if "minimum" in schema or "maximum" in schema:
        yield f"from {schema.get('minimum', 'any')} to {schema.get('maximum', 'any')}"
    if "minLength" in schema or "maxLength" in schema:
        yield f"of {schema.get('minLength', 0)} to {schema.get('maxLength', 'any')} characters"


def _values(values: list[object]) -> str:
    return ", ".join(f"`{value}`" for value in values)


def _paragraphs(text: str | None) -> Iterator[str]:
    if text:
        yield text.strip()
        yield ""
