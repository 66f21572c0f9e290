"""The gateway that the tests run against: tests/it/sdk.rs starts it with its sandbox, and says in SDK_WORLD who is there."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from smartermcp import AsyncSmarterMCP, SmarterMCP

ENDPOINT = os.environ.get("SMARTERMCP_ENDPOINT", "")


@dataclass(frozen=True)
class World:
    """Two tenants with the same systems, played; tokens of theirs and the operator's; a call of each tool that its backend answers."""

    tenant: str
    token: str
    other_tenant: str
    other_token: str
    #: One call at once and one each second.
    slow_token: str
    operator: str
    calls: list[tuple[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def world() -> World:
    # A test that has no gateway must not pass for one that has.
    return World(**json.loads(os.environ["SDK_WORLD"]))


@pytest.fixture
def client(world: World) -> Iterator[SmarterMCP]:
    with SmarterMCP(world.token, world.tenant) as client:
        yield client


@pytest.fixture
def operator(world: World) -> Iterator[SmarterMCP]:
    """He names a tenant with each call: his client is of none."""
    with SmarterMCP(world.operator) as client:
        yield client


@pytest.fixture
def async_client(world: World) -> AsyncSmarterMCP:
    """To be closed by the test: it belongs to the test's own event loop."""
    return AsyncSmarterMCP(world.token, world.tenant)
