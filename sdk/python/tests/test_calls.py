"""Calls and answers: what a caller gets, against the real gateway with its sandbox."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import typing
import uuid
from typing import Any

import pytest
from between import Answer, Between
from conftest import ENDPOINT, World
from pydantic import BaseModel
from smartermcp import AsyncSmarterMCP, Attempt, SmarterMCP, errors, types
from smartermcp._generated import operations


def at(client: object, name: str) -> Any:
    """`client.crm.contacts.search` of its name."""
    return functools.reduce(getattr, name.split("."), client)


def unknown_fields(value: object) -> list[str]:
    """What an answer has that its type does not name."""
    if isinstance(value, BaseModel):
        found = [f"{type(value).__name__}.{name}" for name in value.model_extra or {}]
        return found + [one for name in type(value).model_fields for one in unknown_fields(getattr(value, name))]
    if isinstance(value, dict):
        return [one for part in typing.cast("dict[str, object]", value).values() for one in unknown_fields(part)]
    if isinstance(value, list):
        return [one for part in typing.cast("list[object]", value) for one in unknown_fields(part)]
    return []


def test_each_of_the_35_tools_has_a_method_whose_type_knows_the_whole_answer(client: SmarterMCP, world: World) -> None:
    assert len(world.calls) == 35
    wrong: list[str] = []
    for tool, arguments in world.calls:
        operation = operations.BY_ID[tool]
        try:
            answer = at(client, operation.name)(**arguments)
            wrong += unknown_fields(answer)
        except errors.SmarterMCPError as error:
            wrong.append(f"{tool}: {error}")
    assert wrong == []


def test_both_clients_have_every_operation_with_the_same_parameters(client: SmarterMCP, async_client: AsyncSmarterMCP) -> None:
    assert len(operations.ALL) == len(operations.BY_ID) >= 60
    for operation in operations.ALL:
        plain, waiting = at(client, operation.name), at(async_client, operation.name)
        assert list(inspect.signature(plain).parameters) == list(inspect.signature(waiting).parameters), operation.name
        assert inspect.getdoc(plain) == inspect.getdoc(waiting), operation.name
        assert inspect.getdoc(plain), operation.name


def test_an_answer_is_an_object_and_a_mapping(client: SmarterMCP) -> None:
    services = client.services.list(filter="backend")
    assert len(services) > 0
    assert [service.name for service in services] == [service["name"] for service in services.services]
    assert services[0].id == services["services"][0]["id"]
    assert services[0] in services
    assert "name" in services[0]
    assert "nothing" not in services[0]
    assert dict(services[0])["name"] == services[0].name
    with pytest.raises(KeyError, match="there are .*id, name"):
        _ = services[0]["nothing"]


def test_a_figure_is_a_number_by_its_name(client: SmarterMCP) -> None:
    kpis = client.analytics.kpis(kpis=["revenue_mtd", "conversion_rate"])
    revenue = kpis["revenue_mtd"]
    assert revenue is not None
    assert revenue * 2 == 91_560
    assert sorted(kpis) == ["conversion_rate", "revenue_mtd"]
    assert kpis.details["revenue_mtd"].unit == "USD"
    with pytest.raises(KeyError, match="there are conversion_rate, revenue_mtd"):
        kpis["churn"]


def test_a_tool_is_called_by_its_name(client: SmarterMCP) -> None:
    listed = client.tools.list()
    assert len(listed) == 35
    assert "crm_contacts_search" in [tool.name for tool in listed]
    found = client.tools.call("crm_contacts_search", {"query": "john@example.com"})
    assert found.contacts[0]["email"] == found["contacts"][0]["email"] == "john@example.com"
    with pytest.raises(errors.NotFoundError) as unknown:
        client.tools.call("crm_contacts_sing", {})
    assert unknown.value.code == "unknown_tool"


def test_a_field_that_is_named_like_a_method_is_the_field_by_its_name(world: World) -> None:
    names = ("schema", "keys", "json", "copy", "get", "dict", "validate", "construct", "model_config")
    said = {name: f"said of {name}" for name in names}

    def newer(_: str, answer: Answer) -> None:
        def change(value: dict[str, object]) -> None:
            services = value["services"]
            assert isinstance(services, list)
            value |= said
            services[0] |= said

        answer.alter(change)

    with Between(ENDPOINT, alter=newer) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        services = client.services.list()
        for answer in (services, services[0], client.tools.call("services_list")):
            assert {name: answer[name] for name in names} == said
            assert answer.get("schema") == "said of schema"
    assert dict(services[0])["keys"] == "said of keys"


def test_pages_are_gone_through_lazily(world: World) -> None:
    sent: list[Attempt] = []
    with SmarterMCP(world.token, on_attempt=sent.append) as client:
        whole = client.crm.contacts.list()
        assert whole.next_cursor is None
        page = client.crm.contacts.list(limit=3)
        assert len(page) == 3
        assert page.next_cursor is not None
        second = client.crm.contacts.list(limit=3, cursor=page.next_cursor)
        assert second[0].id == whole[3].id

        sent.clear()
        contacts = client.crm.contacts.list_all(page_size=3)
        assert sent == [], "nothing is asked before it is needed"
        first = [next(contacts) for _ in range(3)]
        assert len(sent) == 1, "three contacts are one page"
        assert [contact.id for contact in [*first, *contacts]] == [contact.id for contact in whole]
        assert len(sent) == -(-len(whole) // 3)


@pytest.mark.parametrize("cursors", ["AA", "ABA", "ABCB"])
def test_pages_that_lead_back_to_one_of_them_are_not_gone_through_for_ever(world: World, cursors: str) -> None:
    pages = [Answer(200, {}, json.dumps({"services": [], "next_cursor": cursor}).encode()) for cursor in cursors]
    with Between(ENDPOINT, pages) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.UnexpectedAnswer, match="there already"):
            list(client.services.list_all())
    assert len(between.seen) == len(cursors)


def test_the_async_client_does_the_same(async_client: AsyncSmarterMCP, world: World) -> None:
    async def use() -> None:
        async with async_client as client:
            services, kpis, contacts = await asyncio.gather(
                client.services.list(),
                client.analytics.kpis(kpis=["revenue_mtd"]),
                client.crm.contacts.search(query="john@example.com"),
            )
            assert len(services) > 0
            assert kpis["revenue_mtd"] == 45_780
            assert [contact.email for contact in contacts] == ["john@example.com"]
            ids = [contact.id async for contact in client.crm.contacts.list_all(page_size=3)]
            assert ids == [contact.id for contact in await client.crm.contacts.list()]
            execution = await client.workflows.trigger("wf_backup_db", input_data={"database": "smarteros"})
            assert execution.status == "completed"
            lines = [line async for line in await client.services.logs("odoo", follow=True)]
            assert len(lines) > 0
            assert len(await client.tools.list()) == 35
            assert (await client.whoami()).tenant_id == world.tenant
            assert (await client.health()).version
            with pytest.raises(errors.NotFoundError):
                await client.workflows.status("exec_of_nobody")

    asyncio.run(use())


def test_an_item_with_a_comma_stays_one_item(client: SmarterMCP) -> None:
    with pytest.raises(errors.InvalidInputError, match="no 'revenue_mtd,conversion_rate'"):
        client.analytics.kpis(kpis=["revenue_mtd,conversion_rate"])


def test_a_filter_is_an_object_in_a_query(client: SmarterMCP) -> None:
    leads = client.crm.contacts.list(filter={"country": "CL", "type": "lead"})
    assert 0 < len(leads) < len(client.crm.contacts.list())


def test_a_record_of_either_kind_is_read_as_its_type(client: SmarterMCP) -> None:
    made = client.crm.records.upsert(kind="contact", fields={"name": "Ana Ñancupil", "tags": ["web"]})
    assert isinstance(made.record, types.CrmContact)
    assert made.record.name == "Ana Ñancupil"
    sold = client.crm.records.upsert(kind="opportunity", fields={"name": "Kuchen", "contact_id": made.id})
    assert isinstance(sold.record, types.CrmOpportunity)
    assert sold.record.contact is not None
    assert sold.record.contact.name == "Ana Ñancupil"


def test_a_name_in_the_path_stays_one_segment(client: SmarterMCP) -> None:
    for name in ("..", ".", ""):
        with pytest.raises(errors.ConfigurationError, match="service_id"):
            client.services.logs(name)
    for name in ("../health", "a/b", "á b?c#d", "%2e%2e"):
        with pytest.raises(errors.NotFoundError) as refused:
            client.services.logs(name)
        assert refused.value.code == "not_found", name


def test_logs_are_followed_line_by_line(client: SmarterMCP) -> None:
    lines = client.services.logs("postgres", follow=True)
    assert lines.result is None
    said = list(lines)
    assert said[-2:] == ["after", "later"]
    assert lines.result is not None
    assert lines.result.lines == said
    assert client.services.logs("postgres").lines[0] == said[0]
    with client.services.logs("postgres", follow=True) as left_early:
        assert next(left_early) == said[0]
    with pytest.raises(errors.NotFoundError):
        client.services.logs("nobody", follow=True)


def test_the_same_key_does_the_work_once_and_other_arguments_are_a_conflict(client: SmarterMCP) -> None:
    first = client.workflows.trigger("wf_backup_db", input_data={"n": 1}, idempotency_key="sdk-key-1")
    again = client.workflows.trigger("wf_backup_db", input_data={"n": 1}, idempotency_key="sdk-key-1")
    assert again.execution_id == first.execution_id
    other = client.workflows.trigger("wf_backup_db", input_data={"n": 1})
    assert other.execution_id != first.execution_id, "each call has a key of its own"
    with pytest.raises(errors.ConflictError) as reused:
        client.workflows.trigger("wf_backup_db", input_data={"n": 2}, idempotency_key="sdk-key-1")
    assert reused.value.code == "idempotency_key_reused"
    with pytest.raises(errors.ConfigurationError, match="idempotency_key"):
        client.workflows.trigger("wf_backup_db", idempotency_key="with\nline")


def test_whoever_asks_is_told_who_he_is(client: SmarterMCP, world: World) -> None:
    me = client.whoami()
    assert me.tenant_id == world.tenant
    assert "read:crm" in me.scopes
    assert client.health().status in ("healthy", "degraded")


def test_the_operators_methods(operator: SmarterMCP, world: World) -> None:
    slug = f"sdk-{uuid.uuid4().hex[:8]}"
    made = operator.tenants.create(name="De paso", slug=slug)
    assert operator.tenants.get(made.id).slug == slug
    assert operator.tenants.update(made.id, name="De paso 2").name == "De paso 2"
    assert made.id in [tenant.id for tenant in operator.tenants.list_all(page_size=1)]

    url = operator.connections.get("n8n", tenant_id=world.tenant).url
    connection = operator.connections.set("n8n", url=url, credential={"api_key": "a-wrong-key"}, tenant_id=made.id)
    assert connection.url == url
    assert [one.backend for one in operator.connections.list(tenant_id=made.id)] == ["n8n"]
    with pytest.raises(errors.BackendRefusedError) as refused:
        operator.connections.test("n8n", tenant_id=made.id)
    assert refused.value.code == "credential_refused"
    assert operator.connections.test("n8n", tenant_id=world.tenant).ok is True
    operator.connections.remove("n8n", tenant_id=made.id)

    token = operator.tokens.create(
        name="de paso",
        scopes=["read:services"],
        tenant_id=made.id,
        limits={"general": {"per_minute": 5}, "categories": {"services": {"per_minute": 1}}},
    )
    assert token.api_token.startswith("smcp_")
    assert token.api_token not in repr(token)
    named = operator.tools.call("tokens_create", {"name": "by name", "scopes": ["read:services"], "tenant_id": made.id})
    assert named.api_token.startswith("smcp_")
    assert named.api_token not in f"{named} {named!r}"
    assert named.id in repr(named)
    operator.tokens.revoke(named.id)
    with SmarterMCP(token.api_token) as guest:
        assert guest.whoami().tenant_id == made.id
    turned = operator.tokens.rotate(token.id)
    kept = operator.tokens.get(turned.id)
    assert kept.limits is not None
    assert kept.limits.general is not None
    assert kept.limits.general.per_minute == 5
    operator.tokens.revoke(turned.id)
    assert {one.status for one in operator.tokens.list(tenant_id=made.id)} <= {"revoked", "rotated", "active", "expired"}

    service = operator.services.set("tienda", type="frontend", name="Tienda", tenant_id=made.id)
    assert service.id == "tienda"
    operator.services.delete("tienda", tenant_id=made.id)
    kpi = operator.kpis.set("churn", card_id=7, unit="%", tenant_id=made.id)
    assert [one.name for one in operator.kpis.list(tenant_id=made.id)] == [kpi.name]
    operator.kpis.delete("churn", tenant_id=made.id)

    switch = operator.switches.create(tool="bots_deploy", tenant_id=made.id, reason="a test")
    assert switch.id in [one.id for one in operator.switches.list()]
    operator.switches.remove(switch.id)
    usage = operator.usage.get(tenant_id=made.id, from_="2026-01-01")
    assert "api_calls" in [meter.meter for meter in usage.meters]
    assert len(operator.audit.list(limit=5)) > 0
    operator.tenants.delete(made.id)
