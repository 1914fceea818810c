"""docs/soak.md: each program writes its own section and leaves the others."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path

import psutil

PAGE = Path(__file__).resolve().parents[2] / "docs" / "soak.md"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; numbers to the right but for the first column."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def write(name: str, text: str) -> None:
    """Put ``text`` between the marks of the section ``name``. Raises ValueError when the page has no such marks."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    page = PAGE.read_text(encoding="utf-8")
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE} has no section between {begin} and {end}")
    PAGE.write_text(f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}", encoding="utf-8")


def machine() -> str:
    """Cores and versions, in one sentence."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = next((part.strip('"') for part in java.split() if part.startswith('"')), "unknown")
    return (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, Python {platform.python_version()},"
        f" Java {version}, broker and feed on the same machine."
    )
