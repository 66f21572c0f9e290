"""Writes sdk/typescript/src/generated: the types, the shapes by which names are respelled, the operations and the resources.

Names are camelCase there. Free-form objects, and the keys of maps, have no shape and so keep their spelling. An answer whose point is a
list (`Method.items`) is that list, one whose point is a map (`Method.entries`) is that map, and the rest of the answer stands beside it.
"""

from __future__ import annotations

import json
from dataclasses import replace

from model import Api, Field, Method, Object, Parameter, Resource, Type

FOLDER = "typescript/src/generated"

_HEAD = "// {what} Written by `make sdk` from openapi/smartermcp.json: do not edit.\n\n"
# What the hand-written client has beside the resources.
_OF_CLIENTS = {"tools", "whoami", "health", "gatewayVersion", "close"}
# What an array has already, in camelCase as the fields are when they are compared.
_OF_ARRAYS = set(
    "at concat constructor copyWithin entries every fill filter find findIndex findLast findLastIndex flat flatMap forEach hasOwnProperty "
    "includes indexOf isPrototypeOf join keys lastIndexOf length map pop propertyIsEnumerable push reduce reduceRight reverse shift slice "
    "some sort splice toLocaleString toReversed toSorted toSpliced toString unshift valueOf values with".split()
)


def emit(api: Api) -> dict[str, str]:
    taken = [one.name for one in api.resources if _name(one.name) in _OF_CLIENTS]
    if taken:
        raise ValueError(f"the client itself has {', '.join(taken)}")
    return {
        "version.ts": _HEAD.format(what="The version of the gateway that this package was made for.")
        + f"/** The gateway's version by whose API this package was made. */\nexport const VERSION = {_text(api.version)};\n",
        "types.ts": _types(api),
        "operations.ts": _operations(api),
        "resources.ts": _resources(api),
    }


# Types


def _types(api: Api) -> str:
    results = {method.result.name: method for method in api.methods if method.result and _shaped(api, method)}
    parts = [
        _HEAD.format(what="What goes into calls and comes out of them."),
        "import type { Page } from '../pages.js';\n\n",
        "/** A value of this list, or one that a newer gateway has: those do not break this version. */\n",
        "export type Open<Known extends string> = Known | (string & {});\n",
    ]
    for one in api.objects.values():
        if one.name in results:
            parts.append(_point(api, one, results[one.name]))
        else:
            parts.append(_interface(one.name, one.description, [_member(field, one.output) for field in one.fields]))
    for method in api.methods:
        if method.parameters:
            name = _parameters_name(method)
            if name in api.objects:
                raise ValueError(f"{method.operation}: two types are called {name}")
            given = [parameter for parameter in method.parameters if parameter.name != method.streams]
            parts.append(_interface(name, f"What `{_dotted(method)}` takes.", [_parameter(one) for one in given]))
    return "".join(parts)


def _interface(name: str, description: str, members: list[str]) -> str:
    if not members:
        return f"\n{_doc(description)}export type {name} = Readonly<Record<string, never>>;\n"
    return f"\n{_doc(description)}export interface {name} {{\n{''.join(members)}}}\n"


def _member(field: Field, answered: bool) -> str:
    optional = "" if field.required else "?"
    # With `undefined`, so that what is optional can be passed on under exactOptionalPropertyTypes.
    kind = _type(field.type, answered) + ("" if field.required or answered else " | undefined")
    return f"{_doc(field.description, 1)}  {'readonly ' if answered else ''}{_name(field.name)}{optional}: {kind};\n"


def _parameter(one: Parameter) -> str:
    kind = _type(one.type, False)
    if not one.required:
        # Null is left out like undefined: `cursor: page.nextCursor` begins anew after the last page.
        kind += " | undefined" if kind.endswith("| null") else " | null | undefined"
    return f"{_doc(one.description, 1)}  {_name(one.name)}{'' if one.required else '?'}: {kind};\n"


def _point(api: Api, one: Object, method: Method) -> str:
    """An answer that is its list or its map."""
    rest = [field for field in one.fields if field.name not in (method.items, method.entries, "next_cursor")]
    name = method.items if _is_list(api, method) else method.entries
    point = next(field for field in one.fields if field.name == name)
    item = point.type.item
    assert item is not None
    if _is_list(api, method):
        clash = [field.name for field in rest if _name(field.name) in _OF_ARRAYS]
        if clash:
            raise ValueError(f"{method.operation}: an array cannot have {', '.join(clash)} beside it")
        more = "".join(_member(field, True) for field in rest)
        kind = f"Page<{_type(item, True)}{f', {{{chr(10)}{more}}}' if rest else ''}>"
    else:
        more = "".join(_member(replace(field, name=f"${field.name}"), True) for field in rest)
        kind = f"Readonly<Record<string, {_type(item, True)}>> & {{\n{more}}}"
    about = one.description + (f"\n\n{point.description}" if point.description else "")
    return f"\n{_doc(about)}export type {one.name} = {kind};\n"


def _type(kind: Type, answered: bool) -> str:
    null = " | null" if kind.nullable and kind.kind != "any" else ""
    said: str
    match kind.kind:
        case "string" | "boolean":
            said = kind.kind
        case "integer" | "number":
            said = "number"
        case "any":
            said = "unknown"
        case "free":
            said = "Readonly<Record<string, unknown>>"
        case "enum":
            values = " | ".join(_text(value) for value in kind.values)
            said = f"Open<{values}>" if answered else values
        case "list":
            assert kind.item
            inner = _type(kind.item, answered)
            inner = f"({inner})" if "|" in inner and not inner.endswith(">") else inner
            said = f"{inner}[]" if answered else f"readonly {inner}[]"
        case "map":
            assert kind.item
            said = f"Readonly<Record<string, {_type(kind.item, answered)}>>"
        case "object":
            said = kind.name
        case "union":
            said = " | ".join(_type(option, answered) for option in kind.options)
        case _:
            raise ValueError(f"TypeScript has no word for {kind.kind}")
    return said + null


# Shapes and operations


def _operations(api: Api) -> str:
    shapes: list[str] = []
    for one in api.objects.values():
        for way in _ways(one):
            shape = _fields_shape(api, one, way)
            if shape:
                shapes.append(f"const {way}{one.name}: Shape = {shape};\n")
    operations: list[str] = []
    for method in api.methods:
        parts = [f"tool: {_text(method.operation)}", f"method: {_text(_dotted(method))}", f"since: {_text(method.since)}"]
        if method.writes:
            parts.append("writes: true")
        given = _entries(api, [(_name(one.name), one.name, one.type, False) for one in method.parameters], "input")
        if given:
            parts.append(f"input: {given}")
        answered = _shape(api, method.result, "output") if method.result else ""
        if answered:
            parts.append(f"output: {answered}")
        if method.items:
            parts.append(f"items: {_text(_name(method.items))}")
        if _is_list(api, method):
            parts.append("isList: true")
        if method.entries:
            parts.append(f"entries: {_text(_name(method.entries))}")
        operations.append(f"export const {_constant(method)}: Operation = {_object(parts)};\n")
    return "".join(
        [
            _HEAD.format(what="Which tool each method calls, and how names are spelled on the wire."),
            "import type { Shape } from '../shape.js';\n",
            "import type { Operation } from '../transport.js';\n\n",
            *shapes,
            "\n",
            *operations,
        ]
    )


def _ways(one: Object) -> list[str]:
    return [way for way, occurs in (("input", one.input), ("output", one.output)) if occurs]


def _fields_shape(api: Api, one: Object, way: str) -> str:
    """The shape of an object; empty where it is spelled the same on both sides, all the way down."""
    names = [(one.name, _name(one.name)) for one in one.fields]
    from_to = [(wire, here) if way == "output" else (here, wire) for wire, here in names]
    return _entries(api, [(key, name, field.type, field.secret) for (key, name), field in zip(from_to, one.fields)], way)


def _entries(api: Api, fields: list[tuple[str, str, Type, bool]], way: str) -> str:
    entries: list[str] = []
    for key, name, kind, secret in fields:
        shape = _shape(api, kind, way)
        hidden = secret and way == "output"
        if key != name or shape or hidden:
            more = [shape or "undefined", "true"] if hidden else [shape] if shape else []
            entries.append(f"{key}: [{', '.join([_text(name), *more])}]")
    return f"{{ fields: {_object(entries)} }}" if entries else ""


def _shape(api: Api, kind: Type, way: str) -> str:
    match kind.kind:
        case "object":
            return f"{way}{kind.name}" if _fields_shape(api, api.objects[kind.name], way) else ""
        case "list" | "map":
            assert kind.item
            inner = _shape(api, kind.item, way)
            return f"{{ {'items' if kind.kind == 'list' else 'values'}: {inner} }}" if inner else ""
        case "union":
            return _union(api, kind, way)
        case _:
            return ""


def _union(api: Api, kind: Type, way: str) -> str:
    """The fields of all options at once: which one a value is, is not known before it is read."""
    shapes = [_shape(api, option, way) for option in kind.options]
    if not any(shapes):
        return ""
    objects = [api.objects[option.name] for option in kind.options if option.kind == "object"]
    if any(shape and option.kind != "object" for shape, option in zip(shapes, kind.options)):
        raise ValueError(f"a union of {', '.join(option.kind for option in kind.options)} cannot be respelled")
    fields: dict[str, tuple[str, str, Type, bool]] = {}
    for one in objects:
        for field in one.fields:
            wire, here = field.name, _name(field.name)
            key, name = (wire, here) if way == "output" else (here, wire)
            entry = (key, name, field.type, field.secret)
            known = fields.setdefault(key, entry)
            if _shape(api, known[2], way) != _shape(api, field.type, way):
                raise ValueError(f"{one.name}.{field.name}: another option of a union spells it differently")
    return _entries(api, list(fields.values()), way)


# Resources


def _resources(api: Api) -> str:
    names = sorted({name for method in api.methods for name in _named(api, method)})
    imports = [f"import type {{\n{''.join(f'  {name},{chr(10)}' for name in names)}}} from './types.js';\n"]
    classes = [_class(api, resource) for resource in api.walk()]
    roots = "".join(f"  readonly {_name(one.name)}: {_class_name(one)};\n" for one in api.resources)
    made = "".join(f"    this.{_name(one.name)} = new {_class_name(one)}(transport);\n" for one in api.resources)
    return "".join(
        [
            _HEAD.format(what="The resources, and a method for each tool."),
            "import type { CallOptions } from '../options.js';\n",
            "import type { PagePromise } from '../pages.js';\n",
            "import type { Transport } from '../transport.js';\n",
            "import * as operations from './operations.js';\n",
            *imports,
            *classes,
            "\n/** All resources of the API. */\n",
            f"export class Resources {{\n{roots}\n  constructor(transport: Transport) {{\n{made}  }}\n}}\n",
        ]
    )


def _named(api: Api, method: Method) -> list[str]:
    names = [_parameters_name(method)] if method.parameters else []
    if method.result:
        names.append(method.result.name)
    if _lists(api, method):
        names.append(_item(api, method))
    return names


def _class(api: Api, resource: Resource) -> str:
    dotted = ".".join(_name(word) for word in resource.path)
    children = "".join(f"  readonly {_name(one.name)}: {_class_name(one)};\n" for one in resource.children)
    made = "".join(f"    this.{_name(one.name)} = new {_class_name(one)}(transport);\n" for one in resource.children)
    transport = "  readonly #transport: Transport;\n" if resource.methods else ""
    kept = "    this.#transport = transport;\n" if resource.methods else ""
    methods = "".join(_method(api, method) for method in resource.methods)
    return (
        f"\n/** `client.{dotted}` */\nexport class {_class_name(resource)} {{\n{transport}{children}\n"
        f"  constructor(transport: Transport) {{\n{kept}{made}  }}\n{methods}}}\n"
    )


def _method(api: Api, method: Method) -> str:
    result = method.result.name if method.result else "void"
    takes = _parameters_name(method)
    required = any(one.required for one in method.parameters)
    needs = f"parameters: {takes}, " if required else f"parameters: {takes} = {{}}, " if method.parameters else ""
    gives = "parameters" if method.parameters else "{}"
    about = f"{method.summary}\n\n{method.description}\n\nThe tool `{method.operation}`, since version {method.since} of the gateway."
    name, constant = _name(method.name), f"operations.{_constant(method)}"
    if method.streams:
        # One name, two answers: which one is known before the call.
        flag = _name(method.streams)
        lines = f"AsyncGenerator<string, {result}, undefined>"
        return (
            f"\n{_doc(about, 1)}  {name}(parameters: {takes} & {{ readonly {flag}: true }}, options?: CallOptions): {lines};\n"
            f"  {name}(parameters: {takes} & {{ readonly {flag}?: false }}, options?: CallOptions): Promise<{result}>;\n"
            f"  {name}(parameters: {takes} & {{ readonly {flag}?: boolean }}, options?: CallOptions): {lines} | Promise<{result}> {{\n"
            f"    if (parameters.{flag}) return this.#transport.lines({constant}, parameters, options);\n"
            f"    return this.#transport.call({constant}, parameters, options);\n"
            "  }\n"
        )
    if _lists(api, method):
        return (
            f"\n{_doc(about, 1)}  {name}({needs}options?: CallOptions): PagePromise<{_item(api, method)}, {result}> {{\n"
            f"    return this.#transport.list({constant}, {gives}, options);\n  }}\n"
        )
    return (
        f"\n{_doc(about, 1)}  {name}({needs}options?: CallOptions): Promise<{result}> {{\n"
        f"    return this.#transport.call({constant}, {gives}, options);\n  }}\n"
    )


# Parts


def _shaped(api: Api, method: Method) -> bool:
    return _is_list(api, method) or method.entries is not None


def _is_list(api: Api, method: Method) -> bool:
    """Whether the answer is its list: not where the list may be missing."""
    if not method.items or not method.result:
        return False
    field = next(field for field in api.objects[method.result.name].fields if field.name == method.items)
    return field.required and not field.type.nullable


def _lists(api: Api, method: Method) -> bool:
    """Whether one can iterate over what the method answers."""
    return method.pages or _is_list(api, method)


def _item(api: Api, method: Method) -> str:
    assert method.result
    field = next(field for field in api.objects[method.result.name].fields if field.name == method.items)
    if not field.type.item or field.type.item.kind != "object":
        raise ValueError(f"{method.operation}: the items of {field.name} have no name")
    return field.type.item.name


def _name(wire: str) -> str:
    first, *rest = wire.split("_")
    return first + "".join(word[:1].upper() + word[1:] for word in rest)


def _pascal(words: str) -> str:
    return "".join(word[:1].upper() + word[1:] for word in words.split("_"))


def _dotted(method: Method) -> str:
    return ".".join(_name(word) for word in (*method.resource, method.name))


def _constant(method: Method) -> str:
    return _name(method.operation)


def _parameters_name(method: Method) -> str:
    return f"{_pascal(method.operation)}Parameters"


def _class_name(resource: Resource) -> str:
    return "".join(_pascal(word) for word in resource.path) + "Resource"


def _text(value: str) -> str:
    """A literal in single quotes."""
    return "'" + json.dumps(value, ensure_ascii=False)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


def _object(parts: list[str]) -> str:
    line = f"{{ {', '.join(parts)} }}"
    return line if parts else "{}"


def _doc(text: str, depth: int = 0) -> str:
    """A TSDoc comment; nothing of a text may end it early."""
    lines = [line.rstrip() for line in text.replace("*/", "*\\/").strip().split("\n")]
    if lines == [""]:
        return ""
    indent = "  " * depth
    if len(lines) == 1:
        return f"{indent}/** {lines[0]} */\n"
    return f"{indent}/**\n" + "".join(f"{indent} *{f' {line}' if line else ''}\n" for line in lines) + f"{indent} */\n"
