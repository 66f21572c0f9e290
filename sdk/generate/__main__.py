"""Writes the generated code of both SDKs anew from openapi/smartermcp.json: `python3 sdk/generate`, which `make sdk` runs.

`--check` writes nothing, and fails where a file differs from what would be written. A name (`python`, `typescript`) does that SDK alone.

An SDK is a module here with `FOLDER`, its generated folder below sdk/, and `emit(api)`, which answers the whole content of that folder as
text by relative path. What else lies in the folder is removed.
"""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import model

SDKS = ("python", "typescript")
ROOT = Path(__file__).resolve().parent.parent


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    asked = [argument for argument in arguments if argument != "--check"]
    unknown = [name for name in asked if name not in SDKS]
    if unknown:
        print(f"There is no SDK {', '.join(unknown)}; there are {', '.join(SDKS)}", file=sys.stderr)
        return 2
    api = model.read(ROOT.parent / "openapi" / "smartermcp.json")
    stale: list[str] = []
    for name in asked or SDKS:
        emitter = importlib.import_module(name)
        stale += _write(ROOT / emitter.FOLDER, emitter.emit(api), check)
    if check and stale:
        print("\n".join([*stale, "differ from what is generated; run `make sdk`"]), file=sys.stderr)
        return 1
    print(f"{len(api.methods)} methods, {len(api.objects)} types of version {api.version}; {len(stale)} files changed")
    return 0


def _write(folder: Path, files: dict[str, str], check: bool) -> list[str]:
    """Makes the folder hold these files and nothing else; answers those that did not fit."""
    wanted = {folder / name: text for name, text in files.items()}
    there = {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    stale = [path for path, text in wanted.items() if path not in there or path.read_text(encoding="utf-8") != text]
    left_over = sorted(there - set(wanted))
    if not check:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(wanted[path], encoding="utf-8")
        for path in left_over:
            path.unlink()
    return [str(path.relative_to(ROOT.parent)) for path in [*stale, *left_over]]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
