"""Failures: each is a clear error, and no write is doubled."""

from __future__ import annotations

import json
import logging
import math
import socket
from pathlib import Path

import pytest
from between import Answer, Between
from conftest import ENDPOINT, World
from smartermcp import Attempt, SmarterMCP, errors

OPENAPI = Path(__file__).resolve().parents[3] / "openapi" / "smartermcp.json"


def test_a_wrong_token_fails_at_the_first_call_with_the_remedy() -> None:
    with SmarterMCP("smcp_of_nobody") as client, pytest.raises(errors.UnauthenticatedError) as refused:
        client.workflows.list()
    assert refused.value.status == 401
    assert refused.value.request_id is not None
    assert "SMARTERMCP_API_TOKEN" in str(refused.value)
    assert "smcp_of_nobody" not in str(refused.value)


def test_what_cannot_work_is_refused_before_anything_is_sent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SMARTERMCP_API_TOKEN", raising=False)
    with pytest.raises(errors.ConfigurationError, match="SMARTERMCP_API_TOKEN"):
        SmarterMCP()
    for token in ("smcp_a\nX-Tenant-ID: other", "smcp_ñ", "a b"):
        with pytest.raises(errors.ConfigurationError) as refused:
            SmarterMCP(token)
        assert token not in str(refused.value)
    for endpoint in ("mcp.smarterbot.cl", "ftp://mcp.smarterbot.cl", "https://user:secret@mcp.smarterbot.cl"):
        with pytest.raises(errors.ConfigurationError, match="endpoint") as refused:
            SmarterMCP("smcp_a", endpoint=endpoint)
        assert "secret" not in str(refused.value)
    ill = ("http://[::1", "http://mcp.cl:x", "http://mcp.cl:99999", "http://mcp.cl/\n", "ftp://user:secret@mcp.cl", "user:secret@mcp.cl")
    for endpoint in ill:
        with pytest.raises(errors.ConfigurationError, match="endpoint must be an address") as refused:
            SmarterMCP("smcp_a", endpoint=endpoint)
        assert "secret" not in str(refused.value)
    for seconds in (0.0, -1.0, math.inf, math.nan):
        with pytest.raises(errors.ConfigurationError, match="timeout must be a number of seconds"):
            SmarterMCP("smcp_a", timeout=seconds)
    with pytest.raises(errors.ConfigurationError, match="max_retry_wait must be a number of seconds"):
        SmarterMCP("smcp_a", max_retry_wait=-1.0)


def test_a_call_that_cannot_be_sent_says_why_and_not_what() -> None:
    endless: dict[str, object] = {}
    endless["self"] = endless
    with Between(ENDPOINT) as between, SmarterMCP("smcp_a", endpoint=between.endpoint) as client:
        for value in (object(), b"smcp_secret", math.nan, endless, "smcp_secret\ud800"):
            with pytest.raises(errors.ConfigurationError, match="cannot be written as JSON") as refused:
                client.workflows.trigger("wf", input_data={"said": value})
            assert "smcp_secret" not in str(refused.value)
            with pytest.raises(errors.ConfigurationError, match="cannot be written as JSON"):
                client.tools.call("workflows_trigger", {"said": value})
        for name in ("", "..", "\ud800"):
            with pytest.raises(errors.ConfigurationError):
                client.tools.call(name)
        with pytest.raises(errors.ConfigurationError, match="timeout"):
            client.services.list(timeout=-1.0)
        # An empty key would be a new one in every call.
        with pytest.raises(errors.ConfigurationError, match="idempotency_key"):
            client.workflows.trigger("wf", idempotency_key="")
    assert between.seen == []
    for call in (client.services.list, client.whoami, client.health, lambda: client.services.logs("n8n", follow=True)):
        with pytest.raises(errors.ConfigurationError, match="closed"):
            call()


def test_the_environment_says_who_and_where(monkeypatch: pytest.MonkeyPatch, world: World) -> None:
    monkeypatch.setenv("SMARTERMCP_API_TOKEN", world.token)
    monkeypatch.setenv("SMARTERMCP_TENANT_ID", world.tenant)
    with SmarterMCP() as client:
        assert client.whoami().tenant_id == world.tenant
        assert repr(client) == f"SmarterMCP(endpoint='{ENDPOINT}', tenant_id='{world.tenant}')"
    monkeypatch.delenv("SMARTERMCP_ENDPOINT")
    assert "https://mcp.smarterbot.cl" in repr(SmarterMCP())


def test_a_tenant_sees_its_own_and_nothing_of_anothers(world: World) -> None:
    with SmarterMCP(world.token, world.other_tenant) as stranger, pytest.raises(errors.NotFoundError) as refused:
        stranger.workflows.list()
    assert refused.value.code == "tenant_not_found"
    with SmarterMCP(world.token) as luna, SmarterMCP(world.other_token) as sol:
        assert (luna.whoami().tenant_id, sol.whoami().tenant_id) == (world.tenant, world.other_tenant)
        assert "wf_cut" in [workflow.name for workflow in luna.workflows.list()]
        assert "wf_cut" not in [workflow.name for workflow in sol.workflows.list()]


def test_a_scope_that_is_lacking_is_named(world: World) -> None:
    with SmarterMCP(world.other_token) as reader, pytest.raises(errors.ForbiddenError, match="write:workflows") as refused:
        reader.workflows.trigger("wf_backup_db")
    assert refused.value.code == "insufficient_scope"


def test_a_429_waits_as_told(world: World) -> None:
    sent: list[Attempt] = []
    with SmarterMCP(world.slow_token, on_attempt=sent.append) as client:
        for _ in range(2):
            client.bots.list()
    statuses = [attempt.status for attempt in sent]
    assert statuses[0] == 200
    assert statuses[-1] == 200
    assert 429 in statuses
    for attempt in sent:
        if attempt.status == 429:
            assert attempt.failure == "rate_limited"
            assert attempt.retry_in is not None
            assert attempt.retry_in >= 1


def test_a_429_that_asks_for_more_than_the_limit_is_raised_at_once(world: World) -> None:
    sent: list[Attempt] = []
    with SmarterMCP(world.slow_token, on_attempt=sent.append, max_retry_wait=0.5) as client, pytest.raises(errors.RateLimitedError) as refused:
        for _ in range(2):
            client.bots.list()
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    assert refused.value.retryable
    assert refused.value.request_id
    assert sent[-1].retry_in is None


@pytest.mark.parametrize("cut", ["cut before", "cut after", "cut within"])
def test_a_write_whose_connection_is_cut_is_repeated_with_the_same_key_and_executes_once(world: World, cut: str) -> None:
    """tests/it/sdk.rs counts the executions of this workflow."""
    with Between(ENDPOINT, [cut]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        execution = client.workflows.trigger("wf_cut", input_data={"how": cut})
        assert execution.status == "completed"
        keys = [key for _, _, key in between.seen]
        assert len(keys) == 2
        assert keys[0] is not None
        assert keys[0] == keys[1]
        if cut != "cut before":
            # What was lost on the way is what is answered now.
            assert json.loads(between.answers[0].body)["execution_id"] == execution.execution_id


def test_a_write_that_never_gets_through_tells_the_key_to_repeat_it_with(world: World) -> None:
    with Between(ENDPOINT, ["cut after"] * 2) as between:
        with SmarterMCP(world.token, endpoint=between.endpoint, max_retries=1) as client, pytest.raises(errors.ConnectionFailed) as lost:
            client.workflows.trigger("wf_cut", input_data={"how": "twice"})
    key = lost.value.idempotency_key
    assert key == between.seen[0][2]
    with SmarterMCP(world.token) as client:
        execution = client.workflows.trigger("wf_cut", input_data={"how": "twice"}, idempotency_key=key)
    assert json.loads(between.answers[0].body)["execution_id"] == execution.execution_id


def test_a_write_that_was_under_way_when_the_client_was_closed_tells_its_key(world: World) -> None:
    with Between(ENDPOINT, ["cut before"]) as between:
        client = SmarterMCP(world.token, endpoint=between.endpoint, on_attempt=lambda _: client.close())
        with pytest.raises(errors.ConnectionFailed) as lost:
            client.workflows.trigger("wf_backup_db")
    assert lost.value.idempotency_key == between.seen[0][2]
    assert len(between.seen) == 1


def test_an_answer_to_a_write_that_cannot_be_read_tells_the_key_to_ask_again_with(world: World) -> None:
    sent: list[Attempt] = []
    odd = [Answer(200, {"x-request-id": "r1"}, b"<html>"), Answer(200, {"x-request-id": "r1", "content-encoding": "gzip"}, b"no gzip")]
    for answer in odd:
        sent.clear()
        with Between(ENDPOINT, [answer]) as between, SmarterMCP(world.token, endpoint=between.endpoint, on_attempt=sent.append) as client:
            with pytest.raises(errors.UnexpectedAnswer) as unreadable:
                client.workflows.trigger("wf_backup_db")
        assert unreadable.value.request_id == "r1"
        assert unreadable.value.idempotency_key == between.seen[0][2] is not None
        assert [attempt.failure for attempt in sent] == ["UnexpectedAnswer"], "the log hears of it too"


@pytest.mark.parametrize(
    "header", ["²", "Sat, 21 Nov 2020 10:00:00 +99999999999999999999", "Sat, 21 Nov 99999999999999999999 10:00:00 GMT", "soon"]
)
def test_a_wait_that_nobody_understands_is_no_other_failure(world: World, header: str) -> None:
    odd = Answer(503, {"retry-after": header}, b"[" * 100_000)
    with Between(ENDPOINT, [odd]) as between, SmarterMCP(world.token, endpoint=between.endpoint, max_retries=0) as client:
        with pytest.raises(errors.BackendDownError, match="without a reason") as refused:
            client.services.list()
    assert refused.value.retry_after is None


def test_a_message_is_no_longer_than_one_reads(world: World) -> None:
    problem = {"title": "Internal error", "status": 500, "code": "internal", "detail": "x" * 1_000_000}
    said = Answer(500, {}, json.dumps(problem).encode())
    with Between(ENDPOINT, [said]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.InternalError) as refused:
            client.services.list()
    assert 4000 <= len(str(refused.value)) < 4200


def test_nobody_there_and_nothing_said_are_told_apart(world: World) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{closed.getsockname()[1]}"
        with SmarterMCP("smcp_a", endpoint=nowhere, max_retries=1) as client, pytest.raises(errors.ConnectionFailed, match="cannot be reached"):
            client.services.list()
    with Between(ENDPOINT, ["silence"]) as between, SmarterMCP(world.token, endpoint=between.endpoint, max_retries=0) as client:
        with pytest.raises(errors.TimedOut, match="in time"):
            client.services.list(timeout=0.2)


def test_what_a_newer_gateway_says_more_breaks_nothing(world: World) -> None:
    def newer(_: str, answer: Answer) -> None:
        def change(value: dict[str, object]) -> None:
            value["more"] = {"deep": [1]}
            services = value["services"]
            assert isinstance(services, list)
            services[0] |= {"colour": "blue", "status": "sleeping", "health": "tired", "type": "satellite"}

        answer.alter(change)

    with Between(ENDPOINT, alter=newer) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        services = client.services.list()
    assert services["more"] == {"deep": [1]}
    assert services[0]["colour"] == "blue"
    assert (services[0].status, services[0].health, services[0].type) == ("sleeping", "tired", "satellite")


def test_a_method_that_the_gateway_is_too_old_for_says_the_version_it_needs(world: World) -> None:
    """The proxy leads to a path that the real gateway does not have, and lets it tell an older version."""

    def older(path: str, answer: Answer) -> None:
        if path == "/health":
            answer.alter(lambda value: value.update(version="0.9.0"))

    lost = {"/api/v1/crm/contacts/search": "/api/v1/crm/contacts/nowhere"}
    with Between(ENDPOINT, alter=older, paths=lost) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.NotSupportedByGateway) as refused:
            client.crm.contacts.search(query="john@example.com")
    assert str(refused.value).startswith("crm.contacts.search needs SmarterMCP 1.0.0 or newer, and the gateway at")
    assert "is 0.9.0" in str(refused.value)
    assert isinstance(refused.value.__cause__, errors.NotFoundError)
    assert refused.value.request_id is not None
    # A gateway that is new enough has its own reason.
    with Between(ENDPOINT, paths=lost) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.NotFoundError, match="nothing at this path"):
            client.crm.contacts.search(query="john@example.com")


def test_a_failure_that_the_key_keeps_is_not_asked_for_again(world: World) -> None:
    problem = {"title": "The backend is unavailable", "status": 503, "code": "backend_down", "retryable": True, "detail": "It broke off"}
    said = Answer(503, {"idempotent-replayed": "true"}, json.dumps(problem).encode())
    with Between(ENDPOINT, [said]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.BackendDownError) as kept:
            client.workflows.trigger("wf_backup_db")
    assert kept.value.replayed
    assert len(between.seen) == 1


def test_a_proxy_that_is_not_well_is_asked_again_and_one_that_leads_elsewhere_is_not_followed(world: World) -> None:
    page = Answer(502, {"content-type": "text/html"}, b"<html>Bad Gateway</html>")
    past = Answer(503, {"retry-after": "Sat, 21 Nov 2020 10:00:00 GMT"}, b"")
    with Between(ENDPOINT, [page, past]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        assert len(client.services.list()) > 0
    with Between(ENDPOINT, [page] * 2) as between, SmarterMCP(world.token, endpoint=between.endpoint, max_retries=1) as client:
        with pytest.raises(errors.BackendRefusedError, match="HTTP 502 without a reason"):
            client.services.list()
    away = Answer(302, {"location": "https://example.cl/"}, b"")
    with Between(ENDPOINT, [away]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.UnexpectedAnswer, match="redirects"):
            client.services.list()
    assert len(between.seen) == 1


@pytest.mark.parametrize("body", [b"<html>welcome</html>", b"[]", b'{"services": 1}', b'{"services": [{"id": "smcp_secret"}]}'])
def test_an_answer_that_is_no_answer_is_told_without_what_it_holds(world: World, body: bytes) -> None:
    odd = Answer(200, {"content-type": "application/json"}, body)
    with Between(ENDPOINT, [odd]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.UnexpectedAnswer) as refused:
            client.services.list()
    assert "smcp_secret" not in str(refused.value)
    with Between(ENDPOINT, [Answer(200, {}, b"{}")]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.UnexpectedAnswer, match="tenant_id"):
            client.whoami()


def test_no_log_and_no_error_holds_a_token_or_what_was_said(world: World, caplog: pytest.LogCaptureFixture) -> None:
    sent: list[Attempt] = []
    caplog.set_level(logging.DEBUG, logger="smartermcp")
    with SmarterMCP(world.token, on_attempt=sent.append) as client:
        client.crm.contacts.search(query="john@example.com")
        with pytest.raises(errors.NotFoundError):
            client.workflows.status("exec_of_nobody")
        told = "\n".join([repr(client), *map(repr, sent), *(r.getMessage() for r in caplog.records if r.name == "smartermcp")])
    assert world.token not in told
    assert "john@example.com" not in told
    assert "exec_of_nobody" not in told
    assert [attempt.operation for attempt in sent] == ["crm.contacts.search", "workflows.status"]
    assert sent[0].request_id
    assert sent[0].failure is None
    assert sent[1].failure == "not_found"
    assert "crm.contacts.search" in told


def test_a_log_that_fails_fails_no_call(world: World, caplog: pytest.LogCaptureFixture) -> None:
    def fails(_: Attempt) -> None:
        raise RuntimeError("the disk is full")

    with SmarterMCP(world.token, on_attempt=fails) as client:
        assert client.workflows.trigger("wf_backup_db").status == "completed"
    assert "on_attempt failed" in caplog.text


def test_every_kind_of_failure_that_the_gateway_has_is_a_class() -> None:
    responses = json.loads(OPENAPI.read_text(encoding="utf-8"))["components"]["responses"]
    kinds = {
        (int(name.removeprefix("Problem")), title) for name, response in responses.items() for title in response["description"].split(", or: ")
    }
    assert {kind.kind for kind in errors.GatewayError.__subclasses__()} == kinds


def test_a_stream_that_fails_raises_what_it_failed_of(world: World) -> None:
    said = b'event: line\ndata: before\n\nevent: error\ndata: {"title": "The backend refused", "status": 502, "code": "backend_refused", '
    said += b'"detail": "It lies", "retryable": false, "request_id": "r1"}\n\nevent: end\ndata: {}\n\n'
    failing = Answer(200, {"content-type": "text/event-stream"}, said)
    cut = Answer(200, {"content-type": "text/event-stream"}, b"event: line\ndata: before\n\n")
    long = Answer(200, {"content-type": "text/event-stream"}, b"event: line\ndata: before\n\ndata: " + b"x" * 9_000_000)
    for answer, kind in (
        (failing, errors.BackendRefusedError),
        (cut, errors.ConnectionFailed),
        (long, errors.UnexpectedAnswer),
    ):
        with Between(ENDPOINT, [answer]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
            lines = client.services.logs("tienda", follow=True)
            assert next(lines) == "before"
            with pytest.raises(kind):
                next(lines)
    broken = Answer(200, {"content-type": "text/event-stream", "content-encoding": "gzip"}, b"no gzip")
    with Between(ENDPOINT, [broken, cut]) as between, SmarterMCP(world.token, endpoint=between.endpoint) as client:
        with pytest.raises(errors.UnexpectedAnswer, match="compression"):
            next(client.services.logs("tienda", follow=True))
        left = client.services.logs("tienda", follow=True)
        left.close()
        with pytest.raises(errors.ConnectionFailed):
            next(left)
