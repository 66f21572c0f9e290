"""What the methods take (`…Input`) and answer."""

from __future__ import annotations

from ._generated import types as _generated
from ._generated.types import *  # noqa: F403
from ._result import Health, OpenResult, Result, Tool, Tools, Whoami

__all__ = ["Health", "OpenResult", "Result", "Tool", "Tools", "Whoami"]
__all__ += _generated.__all__
