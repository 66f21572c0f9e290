"""What a call answers: objects whose fields are attributes, and which index like mappings too.

A field that this version does not know is kept and reached the same way, so that a newer gateway breaks nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Generic, TypeVar, cast, overload

from pydantic import BaseModel, ConfigDict

# As sdk/generate/model.py has it for the fields that it knows.
_SECRET = re.compile("_(token|secret|password|key)$")

Item = TypeVar("Item")
Value = TypeVar("Value")


class Result(BaseModel):
    """An answer, or a part of one: `contact.name` and `contact["name"]` are the same."""

    model_config = ConfigDict(extra="allow", populate_by_name=True, protected_namespaces=())

    #: Fields whose name is taken in Python, by their name on the wire.
    _RENAMED: ClassVar[Mapping[str, str]] = {}

    def __getitem__(self, name: str) -> Any:
        # First what is not known: its name may be a method's, too.
        if self.model_extra and name in self.model_extra:
            return self.model_extra[name]
        if name in self:
            return getattr(self, self._RENAMED.get(name, name))
        raise KeyError(f"{name!r}; there are {', '.join(self.keys())}")

    def __contains__(self, name: object) -> bool:
        return name in self.keys()

    def keys(self) -> list[str]:
        """The names of the fields, as the gateway spells them."""
        wire = {python: name for name, python in self._RENAMED.items()}
        return [wire.get(name, name) for name in (*type(self).model_fields, *(self.model_extra or {}))]

    def get(self, name: str, default: Any = None) -> Any:
        """The field of this name, or `default` where there is none."""
        return self[name] if name in self else default

    # What `repr` shows, and so a debugger and most logs.
    def __repr_args__(self) -> Iterator[tuple[str | None, Any]]:
        for name, value in super().__repr_args__():
            yield name, _without_secrets(value, name or "")

    # pydantic would answer pairs; a mapping answers its keys.
    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]  # pyright: ignore[reportIncompatibleMethodOverride]
        return iter(self.keys())


def _without_secrets(value: Any, name: str) -> Any:
    """A value as it may be shown. Where no type says what is secret, a token is known by how it begins, and the rest by its name."""
    if isinstance(value, str):
        return "[secret]" if value.startswith("smcp_") or _SECRET.search(name) else value
    if isinstance(value, dict):
        return {key: _without_secrets(one, key) for key, one in cast("dict[str, Any]", value).items()}
    if isinstance(value, list):
        return [_without_secrets(one, name) for one in cast("list[object]", value)]
    return value


class OpenResult(Result):
    """An answer whose fields this package does not know beforehand."""

    if TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any: ...


class Items(Result, Generic[Item]):
    """An answer that is a list: it iterates, counts and indexes its items, and has its fields beside them."""

    _ITEMS: ClassVar[str]

    @property
    def _listed(self) -> list[Item]:
        return getattr(self, self._ITEMS) or []

    def __iter__(self) -> Iterator[Item]:  # type: ignore[override]
        return iter(self._listed)

    def __len__(self) -> int:
        return len(self._listed)

    def __contains__(self, one: object) -> bool:
        return super().__contains__(one) if isinstance(one, str) else one in self._listed

    @overload
    def __getitem__(self, name: int) -> Item: ...
    @overload
    def __getitem__(self, name: slice) -> list[Item]: ...
    @overload
    def __getitem__(self, name: str) -> Any: ...
    def __getitem__(self, name: int | slice | str) -> Any:
        return super().__getitem__(name) if isinstance(name, str) else self._listed[name]


class Page(Items[Item], Generic[Item]):
    """One page of a list. `next_cursor` is null on the last; the method's `…_all` goes through the pages by itself."""

    next_cursor: str | None = None


class Entries(Result, Generic[Value]):
    """An answer that is a mapping of names to values: it indexes, counts and iterates these. Its fields are attributes."""

    _ENTRIES: ClassVar[str]

    @property
    def _mapped(self) -> dict[str, Value]:
        return getattr(self, self._ENTRIES) or {}

    def __getitem__(self, name: str) -> Value:
        if name in self._mapped:
            return self._mapped[name]
        raise KeyError(f"{name!r}; there are {', '.join(self._mapped) or 'none'}")

    def __len__(self) -> int:
        return len(self._mapped)

    def keys(self) -> list[str]:
        return list(self._mapped)


class Whoami(Result):
    """Whose token this is, its limits, and what is left of the plan."""

    tenant_id: str | None
    tenant: dict[str, Any] | None = None
    token_id: str | None = None
    operator: bool
    scopes: list[str]
    agent: str | None = None
    expires_at: str | None = None
    limits: Any | None = None
    plan: dict[str, Any] | None = None


class Health(Result):
    """How the gateway does. `status` is healthy, degraded or unhealthy."""

    status: str
    version: str
    services: dict[str, Any] = {}


class Tool(Result):
    """A tool that the token may call by `client.tools.call`."""

    name: str
    title: str | None = None
    description: str = ""
    category: str | None = None
    scope: str | None = None
    input_schema: dict[str, Any] = {}
    output_schema: dict[str, Any] | None = None


class Tools(Items[Tool]):
    """The tools that the token may call."""

    _ITEMS: ClassVar[str] = "tools"

    tools: list[Tool]
