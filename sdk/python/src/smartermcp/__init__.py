"""The client of the SmarterMCP gateway: a tenant's services, workflows, figures, customers, conversations and bots.

    from smartermcp import SmarterMCP

    client = SmarterMCP(api_token="smcp_…")
    print(client.whoami().tenant_id)
"""

from __future__ import annotations

from . import errors, types
from ._core import AsyncLines
from ._generated.async_client import AsyncSmarterMCP
from ._generated.sync_client import SmarterMCP
from ._generated.sync_core import Lines
from ._generated.version import VERSION as __version__
from ._wire import Attempt
from .errors import SmarterMCPError

__all__ = [
    "AsyncLines",
    "AsyncSmarterMCP",
    "Attempt",
    "Lines",
    "SmarterMCP",
    "SmarterMCPError",
    "__version__",
    "errors",
    "types",
]
