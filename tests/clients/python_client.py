"""Lists the tools and calls one with the official Python client (mcp), in the era named by the argument."""

import asyncio
import json
import os
import sys
from typing import NoReturn

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

MODES = {"legacy": "legacy", "modern": "2026-07-28", "auto": "auto"}
SECONDS = 60


async def main(mode: str, url: str, token: str | None, tool: str, arguments: dict) -> dict:
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=SECONDS, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http), mode=MODES[mode]) as client,
    ):
        tools = (await client.list_tools()).tools
        result = await client.call_tool(tool, arguments)
    return {
        "client": "python",
        "era": mode,
        "tools": [listed.name for listed in tools],
        "result": result.structured_content,
        "is_error": result.is_error,
    }


def fail(message: str) -> NoReturn:
    sys.exit(message)  # text goes to stderr, the status is 1


def causes(error: BaseException) -> list[str]:
    """The messages at the leaves of an exception group, each with what it was raised from."""
    if isinstance(error, BaseExceptionGroup):
        return [line for inner in error.exceptions for line in causes(inner)]
    line = f"{type(error).__name__}: {error}"
    return [line, *causes(error.__cause__)] if error.__cause__ else [line]


if __name__ == "__main__":
    mode = sys.argv[1] if len(sys.argv) > 1 else None
    if mode not in MODES:
        fail(f"say {' or '.join(MODES)} as the first argument, not {mode!r}")
    try:
        url, tool = os.environ["MCP_URL"], os.environ["MCP_TOOL"]
        arguments = json.loads(os.environ.get("MCP_ARGUMENTS", "{}"))
    except KeyError as missing:
        fail(f"{missing.args[0]} is not set")
    except json.JSONDecodeError as error:
        fail(f"MCP_ARGUMENTS is not JSON: {error}")
    try:
        outcome = asyncio.run(
            asyncio.wait_for(main(mode, url, os.environ.get("MCP_TOKEN"), tool, arguments), SECONDS)
        )
    except TimeoutError:
        fail(f"no outcome within {SECONDS} s")
    except Exception as error:
        fail("\n".join(causes(error)))
    print(json.dumps(outcome))
