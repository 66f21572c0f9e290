"""Writes the generated code of both SDKs anew from openapi/smartermcp.json: `python3 sdk/generate`, which `make sdk` runs.

`--check` writes nothing, and fails where a file differs from what would be written. A name (`python`, `typescript`) does that SDK alone.

An SDK is a module here with `FOLDER`, its generated folder below sdk/, and `emit(api)`, which answers the whole content of that folder as
text by relative path. What else lies in the folder is removed.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path

import model

SDKS = ("python", "typescript")
ROOT = Path(__file__).resolve().parent.parent
# Which version each operation came with. It only grows: what is new comes with the version of the document.
SINCE = ROOT / "generate" / "since.json"


def main(arguments: list[str]) -> int:
    check = "--check" in arguments
    asked = [argument for argument in arguments if argument != "--check"]
    unknown = [name for name in asked if name not in SDKS]
    if unknown:
        print(f"There is no SDK {', '.join(unknown)}; there are {', '.join(SDKS)}", file=sys.stderr)
        return 2
    since = json.loads(SINCE.read_text(encoding="utf-8"))
    api = model.read(ROOT.parent / "openapi" / "smartermcp.json", since)
    stale = _write({SINCE: json.dumps(since, indent=2, sort_keys=True) + "\n"}, check)
    for name in asked or SDKS:
        emitter = importlib.import_module(name)
        folder = ROOT / emitter.FOLDER
        files = {folder / path: text for path, text in emitter.emit(api).items()}
        stale += _write(files, check) + _remove(folder, set(files), check)
    if check and stale:
        print("\n".join([*stale, "differ from what is generated; run `make sdk`"]), file=sys.stderr)
        return 1
    print(f"{len(api.methods)} methods, {len(api.objects)} types of version {api.version}; {len(stale)} files changed")
    return 0


def _write(files: dict[Path, str], check: bool) -> list[str]:
    """Writes those that differ, and answers which these are."""
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    for path in [] if check else stale:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(files[path], encoding="utf-8")
    return [str(path.relative_to(ROOT.parent)) for path in stale]


def _remove(folder: Path, wanted: set[Path], check: bool) -> list[str]:
    """Removes what the folder has beside the wanted files, and answers what that is."""
    there = {path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts}
    for path in [] if check else there - wanted:
        path.unlink()
    return sorted(str(path.relative_to(ROOT.parent)) for path in there - wanted)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
