"""What the SDKs are generated from: openapi/smartermcp.json as a small tree of resources, methods and types.

What an emitter may rely on:

- Names are as the wire has them; an emitter spells them as its language does. `make sdk` runs the emitters (`__main__.py`).
- `read(path, since)` answers an `Api`, or stops with a `ValueError` that names the place: nothing of the document is left out silently.
- `Api.resources` is the tree, `Api.methods` the same methods in the order of the document, `Api.objects` every named type in the order
  of first use. `Api.version` is the gateway's version that the document was written by.
- `Method.resource` and `Method.name` are the operation's id, cut (`_place`): `crm_contacts_search` is ("crm", "contacts") and "search".
- A parameter lies in the "path", the "query" or the "body" (then it is a property of the JSON object that is sent). They are sorted:
  required first, path before the others; `cursor` and `limit` last. An optional one is never sent as null: leave it out.
  In the query, a list is sent as the same name again and again, an object as JSON, a boolean as `true` or `false`.
- `Method.since` is the first version of the gateway that knew the operation (`since.json`, which the generator keeps by itself).
- `Method.writes`: it takes the header `Idempotency-Key`, and must get the same one in every attempt. What does not write may be repeated.
- `Method.pages`: it takes `cursor` and answers `next_cursor`, null or absent on the last page. `Method.items` is the field of the answer
  that holds the page's list. A method may have `items` without pages (`connections.list`).
- `Method.entries` is the field of the answer that is the answer's point and maps names to plain values (`kpis` of `analytics.kpis`).
- `Method.streams` is the boolean parameter (`follow`) with which, and `Accept: text/event-stream`, the answer comes as events: `line`
  (data: the line), then perhaps `error` (data: a problem), then `end` (data: the answer as JSON).
- `Method.result` is null where the answer is 204 without a body; else it is always of kind "object".
- Objects of the same shape share one name. `Object.input`/`Object.output` say where it occurs; it can be both. An answer's object may
  have more fields than are known, and an answer's enum more values: neither may break a client.
- `Field.secret`/`Parameter.secret`: keep it out of logs and of what a debugger prints.
- Descriptions are Markdown of several lines, or empty.
- Operations that are no tools (`Api.plain`: whoami, health, tools.list, tools.call) belong to the hand-written core; a new one that
  `PLAIN` does not know stops the generator.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Iterator

# What the hand-written cores offer, or leave to others (Prometheus reads the metrics).
PLAIN = {"list_tools", "call_tool", "whoami", "health", "health_live", "health_ready", "health_services", "health_database", "metrics"}


@dataclass(frozen=True)
class Type:
    """A type as the wire has it.

    kind: "string", "integer", "number", "boolean"; "any" (whatever JSON has); "free" (an object whose keys are the caller's own and keep
    their spelling, as deep as it goes); "enum" (strings: `values`); "list" (of `item`); "map" (any names to `item`; the names keep their
    spelling); "object" (`name`, in Api.objects); "union" (of `options`).
    """

    kind: str
    nullable: bool = False
    values: tuple[str, ...] = ()
    item: Type | None = None
    name: str = ""
    options: tuple[Type, ...] = ()


@dataclass(frozen=True)
class Field:
    """A field of an object. What is not required may be absent from the object."""

    name: str
    type: Type
    required: bool
    description: str
    secret: bool


@dataclass
class Object:
    """A named type with known fields."""

    name: str
    description: str
    fields: list[Field]
    input: bool = False
    output: bool = False


@dataclass(frozen=True)
class Parameter:
    name: str
    where: str
    type: Type
    required: bool
    description: str
    secret: bool


@dataclass
class Method:
    name: str
    resource: tuple[str, ...]
    operation: str
    verb: str
    path: str
    summary: str
    description: str
    category: str
    scope: str
    since: str
    writes: bool
    parameters: list[Parameter] = field(default_factory=list)
    result: Type | None = None
    pages: bool = False
    items: str | None = None
    entries: str | None = None
    streams: str | None = None

    @property
    def dotted(self) -> str:
        """As one writes it: `crm.contacts.search`."""
        return ".".join((*self.resource, self.name))


@dataclass
class Resource:
    """`client.crm` with its own methods and what lies below it."""

    name: str
    path: tuple[str, ...]
    methods: list[Method] = field(default_factory=list)
    children: list[Resource] = field(default_factory=list)


@dataclass
class Api:
    version: str
    resources: list[Resource]
    methods: list[Method]
    objects: dict[str, Object]
    plain: list[str]

    def walk(self) -> Iterator[Resource]:
        """Every resource, a parent after its children."""

        def below(resources: list[Resource]) -> Iterator[Resource]:
            for resource in resources:
                yield from below(resource.children)
                yield resource

        return below(self.resources)


def read(path: Path, since: dict[str, str]) -> Api:
    """Reads the document. `since` tells of each operation the version that it came with; the new ones are added to it."""
    document = json.loads(path.read_text(encoding="utf-8"))
    version: str = document["info"]["version"]
    found = [
        (method.upper(), route, operation) for route, methods in document["paths"].items() for method, operation in methods.items()
    ]
    plain = [operation["operationId"] for _, _, operation in found if "x-smartermcp-effect" not in operation]
    unknown = sorted(set(plain) - PLAIN)
    if unknown:
        raise ValueError(f"the document has operations that are no tools and that no SDK knows: {', '.join(unknown)}; see PLAIN in model.py")
    operations = [entry for entry in found if "x-smartermcp-effect" in entry[2]]

    types = _Types(operations)
    methods = [_method(types, *entry, since.setdefault(entry[2]["operationId"], version)) for entry in operations]
    roots: list[Resource] = []
    for method in methods:
        _resource(roots, method.resource).methods.append(method)
    for method in methods:
        if any(method.name == child.name for child in _resource(roots, method.resource).children):
            raise ValueError(f"{method.operation}: `{method.dotted}` is both a method and a resource")
    return Api(version, roots, methods, types.objects, plain)


def _resource(roots: list[Resource], path: tuple[str, ...]) -> Resource:
    level: list[Resource] = roots
    at: Resource | None = None
    for depth, name in enumerate(path):
        at = next((resource for resource in level if resource.name == name), None)
        if at is None:
            at = Resource(name, path[: depth + 1])
            level.append(at)
        level = at.children
    assert at is not None
    return at


def _place(operation: str, route: str) -> tuple[tuple[str, ...], str]:
    """Cuts an operation's id: its first word is a resource, and so is each next one that the route names in the same order.

    The last word is always the method's. `crm_contacts_search` at /crm/contacts/search is crm.contacts.search; `generate_api_client` at
    /generate/api-client is generate.api_client; `services_health` at /services/health is services.health.
    """
    words = operation.split("_")
    if len(words) < 2:
        raise ValueError(f"{operation}: an operation's id needs two words, a resource and a method")
    segments = [segment for segment in route.split("/") if segment and not segment.startswith("{")]
    segments = segments[segments.index(words[0]) + 1 :] if words[0] in segments else []
    cut = 1
    while cut < len(words) - 1 and cut - 1 < len(segments) and words[cut] == segments[cut - 1]:
        cut += 1
    return tuple(words[:cut]), "_".join(words[cut:])


def _method(types: _Types, verb: str, route: str, operation: dict[str, Any], since: str) -> Method:
    name = operation["operationId"]
    resource, last = _place(name, route)
    method = Method(
        name=last,
        resource=resource,
        operation=name,
        verb=verb,
        path=route,
        summary=operation["summary"],
        description=operation.get("description", ""),
        category=operation["tags"][0],
        scope=operation["x-smartermcp-scope"],
        since=since,
        writes=operation["x-smartermcp-effect"] != "read",
    )
    for given in operation.get("parameters", []):
        if given["in"] == "header":
            if given["name"] != "Idempotency-Key":
                raise ValueError(f"{name}: the header {given['name']} is not known to the SDKs")
            continue
        method.parameters.append(_parameter(types, name, given["in"], given["name"], given["schema"], given["required"]))
    for key, schema in _body(operation).get("properties", {}).items():
        method.parameters.append(_parameter(types, name, "body", key, schema, key in _body(operation).get("required", [])))
    last_ones = {"limit": 1, "cursor": 2}
    method.parameters.sort(key=lambda one: (not one.required, one.where != "path", last_ones.get(one.name, 0), one.name))
    if any(parameter.where == "query" for parameter in method.parameters) and "requestBody" in operation:
        raise ValueError(f"{name}: parameters both in the query and in the body")

    schema, streams = _answer(operation)
    if schema is not None:
        method.result = types.at(("result", name))
        if method.result.kind != "object":
            raise ValueError(f"{name}: the answer is {method.result.kind}, not an object")
        _shape(method, types.objects[method.result.name])
    if streams:
        flags = [parameter.name for parameter in method.parameters if parameter.type.kind == "boolean"]
        if flags != ["follow"]:
            raise ValueError(f"{name}: it streams, and has no `follow`")
        method.streams = "follow"
    return method


def _parameter(types: _Types, operation: str, where: str, name: str, schema: Any, required: bool) -> Parameter:
    return Parameter(name, where, types.at(("input", operation, name)), required, _description(schema), _secret(name, schema))


def _shape(method: Method, answer: Object) -> None:
    """Which field of an answer is its list, or its map: the one that the operation's id names; of a page, the one that there is."""
    words = method.operation.split("_")
    lists = [one.name for one in answer.fields if one.type.kind == "list" and one.type.item and one.type.item.kind == "object"]
    method.items = next((name for name in lists if name in words), None)
    scalars = ("string", "integer", "number", "boolean")
    maps = [one.name for one in answer.fields if one.type.kind == "map" and one.type.item and one.type.item.kind in scalars]
    method.entries = next((name for name in maps if name in words), None)

    cursor = any(parameter.name == "cursor" for parameter in method.parameters)
    if cursor != any(one.name == "next_cursor" for one in answer.fields):
        raise ValueError(f"{method.operation}: `cursor` and `next_cursor` go together")
    method.pages = cursor
    if cursor and method.items is None:
        left = [name for name in lists if name != "unavailable"]
        # Of several, the one of which `limit` says how many.
        limit = next((parameter.description for parameter in method.parameters if parameter.name == "limit"), "")
        left = left if len(left) == 1 else [name for name in left if re.search(rf"\b{name}\b", limit)]
        if len(left) != 1:
            raise ValueError(f"{method.operation}: which list of the answer is the page's? Name it in the description of `limit`")
        method.items = left[0]


def _body(operation: dict[str, Any]) -> dict[str, Any]:
    body: dict[str, Any] = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    return body


def _answer(operation: dict[str, Any]) -> tuple[Any, bool]:
    """The schema of what a success answers, if it answers anything, and whether it can come as events."""
    name = operation["operationId"]
    good = [answer for status, answer in operation["responses"].items() if status.startswith("2")]
    if len(good) != 1:
        raise ValueError(f"{name}: {len(good)} answers of success")
    content = good[0].get("content", {})
    more = set(content) - {"application/json", "text/event-stream"}
    if more:
        raise ValueError(f"{name}: answers {', '.join(sorted(more))}, which no SDK reads")
    return content.get("application/json", {}).get("schema"), "text/event-stream" in content


def _description(schema: Any) -> str:
    return str(schema.get("description", "")) if isinstance(schema, dict) else ""


def _secret(name: str, schema: Any) -> bool:
    """The document marks what is only written; a token that is answered once is known by its name."""
    marked = isinstance(schema, dict) and bool(schema.get("writeOnly"))
    return marked or re.search(r"_(token|secret|password|key)$", name) is not None


# The keywords of JSON Schema that are understood, and those that only the gateway checks.
_KNOWN = {"type", "properties", "required", "additionalProperties", "items", "enum", "const", "anyOf", "oneOf", "description", "writeOnly"}
_CHECKED_THERE = {"default", "format", "minimum", "maximum", "minLength", "maxLength", "minItems", "maxItems", "pattern", "propertyNames"}


class _Types:
    """The schemas of all operations as types. Objects get their names when all are known, since the shared ones are named differently."""

    def __init__(self, operations: list[tuple[str, str, dict[str, Any]]]) -> None:
        self.objects: dict[str, Object] = {}
        self._raw: dict[tuple[str, ...], Type] = {}
        # By shape: where it occurs, as (resource, words of a name), and what it is.
        self._uses: dict[str, list[tuple[str, list[str]]]] = {}
        self._shapes: dict[str, Object] = {}
        for _, route, operation in operations:
            name = operation["operationId"]
            resource, last = _place(name, route)
            words = [_singular(word) for word in resource] + ([] if last == "list" else last.split("_"))
            schema, _ = _answer(operation)
            if schema is not None:
                self._raw["result", name] = self._type(schema, [*name.split("_"), "result"], words, resource[0], "output")
            for given in operation.get("parameters", []):
                if given["in"] != "header":
                    self._raw["input", name, given["name"]] = self._type(
                        given["schema"], [*words, given["name"]], [*words, given["name"]], resource[0], "input"
                    )
            for key, one in _body(operation).get("properties", {}).items():
                self._raw["input", name, key] = self._type(one, [*words, key], [*words, key], resource[0], "input")
        self._name()

    def at(self, place: tuple[str, ...]) -> Type:
        return self._named(self._raw[place])

    def _type(self, schema: Any, words: list[str], inner: list[str], resource: str, side: str) -> Type:
        """`words` name an object that stands here, and `inner` begins the names of those within it."""
        where = "_".join(words)
        if schema is True or schema == {}:
            return Type("any", nullable=True)
        if not isinstance(schema, dict):
            raise ValueError(f"{where}: {schema!r} is no schema that the SDKs know")
        unknown = sorted(set(schema) - _KNOWN - _CHECKED_THERE)
        if unknown:
            raise ValueError(f"{where}: the SDKs do not know {', '.join(unknown)} of JSON Schema")
        again = (words, inner, resource, side)

        options = schema.get("anyOf") or schema.get("oneOf")
        if options:
            return _union([self._type(option, *again) for option in options])
        if "const" in schema:
            return Type("enum", values=(schema["const"],))
        kinds = schema.get("type")
        kinds = kinds if isinstance(kinds, list) else [kinds]
        nullable = "null" in kinds
        kinds = [kind for kind in kinds if kind != "null"]
        if "enum" in schema:
            values = tuple(value for value in schema["enum"] if value is not None)
            return Type("enum", nullable or None in schema["enum"], values=values)
        if not kinds:
            return Type("null", True)
        if len(kinds) > 1:
            return _union([self._type({**schema, "type": kind}, *again) for kind in kinds] + ([Type("null", True)] if nullable else []))
        kind = kinds[0]
        if kind is None:
            return Type("any", nullable=True)
        if kind in ("string", "integer", "number", "boolean"):
            return Type(kind, nullable)
        if kind == "array":
            one = [*inner[:-1], _singular(inner[-1])] if inner else inner
            return Type("list", nullable, item=self._type(schema.get("items", True), one, one, resource, side))
        if kind == "object":
            return self._object(schema, nullable, again)
        raise ValueError(f"{where}: the SDKs do not know the type {kind}")

    def _object(self, schema: dict[str, Any], nullable: bool, place: tuple[list[str], list[str], str, str]) -> Type:
        words, inner, resource, side = place
        more = schema.get("additionalProperties", False)
        if not schema.get("properties"):
            if isinstance(more, dict):
                one = [*inner[:-1], _singular(inner[-1])] if inner else inner
                return Type("map", nullable, item=self._type(more, one, one, resource, side))
            return Type("free", nullable)
        if more:
            raise ValueError(f"{'_'.join(words)}: an object with both known and unknown fields")
        fields = [
            Field(
                name,
                self._type(one, [*inner, name], [*inner, name], resource, side),
                name in schema.get("required", []),
                _description(one),
                _secret(name, one),
            )
            for name, one in schema["properties"].items()
        ]
        shape = repr([(one.name, one.type, one.required) for one in fields])
        known = self._shapes.setdefault(shape, Object("", _description(schema), fields))
        if side == "input":
            known.input = True
        else:
            known.output = True
        self._uses.setdefault(shape, []).append((resource, words))
        return Type("object", nullable, name=shape)

    def _name(self) -> None:
        """An object is named after its first use; one that several top resources share, and call alike, after what they call it."""
        names: dict[str, str] = {}
        for shape, uses in self._uses.items():
            asked = [uses[0][1], *([uses[0][1][-1:]] if len({resource for resource, _ in uses}) > 1 else [])]
            if len({words[-1] for _, words in uses}) > 1:
                asked = asked[:1]
            free = (_camel(words) for words in reversed(asked) if _camel(words) not in names.values())
            name = next(free, None)
            if name is None:
                raise ValueError(f"two types are called {_camel(asked[0])}")
            names[shape] = name
        self._names = names
        for shape, known in self._shapes.items():
            known.name = names[shape]
            known.fields = [
                Field(one.name, self._named(one.type), one.required, one.description, one.secret) for one in known.fields
            ]
            self.objects[known.name] = known

    def _named(self, kind: Type) -> Type:
        return Type(
            kind.kind,
            kind.nullable,
            kind.values,
            self._named(kind.item) if kind.item else None,
            self._names[kind.name] if kind.name else "",
            tuple(self._named(option) for option in kind.options),
        )


def _union(options: list[Type]) -> Type:
    """Constants become one enum, and null a property of the rest."""
    nullable = any(option.nullable for option in options)
    rest = [option for option in options if option.kind != "null"]
    if rest and all(option.kind == "enum" for option in rest):
        return Type("enum", nullable, values=tuple(value for option in rest for value in option.values))
    if len(rest) == 1:
        one = rest[0]
        return Type(one.kind, nullable, one.values, one.item, one.name, one.options)
    return Type("union", nullable, options=tuple(rest))


def _singular(word: str) -> str:
    """Good enough for the words that the contract uses; a name that reads badly is still a name."""
    if word.endswith(("ics", "us", "ss", "series")):
        return word
    if word.endswith("ies"):
        return f"{word[:-3]}y"
    if word.endswith(("ches", "shes", "xes", "sses")):
        return word[:-2]
    return word[:-1] if word.endswith("s") else word


def _camel(words: list[str]) -> str:
    """ServiceHealth of service, health, service; BotConversation of bot, conversations, conversation: nothing is said twice."""
    said: list[str] = []
    for word in (part for word in words for part in word.split("_")):
        if f"{word}s" in said:
            said[said.index(f"{word}s")] = word
        elif word not in said:
            said.append(word)
    return "".join(word[:1].upper() + word[1:] for word in said)
