"""docs/benchmarks.md and its plot: each measure writes its own section and leaves the others."""

from __future__ import annotations

import os
import platform
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from pathlib import Path

import psutil

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = DOCS / "benchmarks.md"
PLOT = DOCS / "benchmarks.svg"


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of Markdown; numbers to the right but for the first column."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return "\n".join([*lines, *("| " + " | ".join(row) + " |" for row in rows)])


def with_section(page: str, name: str, text: str) -> str:
    """The page with ``text`` as its section ``name``. Raises ValueError when it has no marks for it."""
    begin, end = f"<!-- {name}: begin -->", f"<!-- {name}: end -->"
    head, found, rest = page.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"the page has no section between {begin} and {end}")
    return f"{head}{begin}\n\n{text.strip()}\n\n{end}{tail}"


def write(name: str, text: str) -> None:
    """Put a section into the page."""
    PAGE.write_text(with_section(PAGE.read_text(encoding="utf-8"), name, text), encoding="utf-8")


def machine() -> str:
    """Cores, memory, kernel and versions, in one sentence; no name."""
    java = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    version = next((part.strip('"') for part in java.split() if part.startswith('"')), "unknown")
    kernel = platform.release().partition("-")[0]
    return (
        f"{os.cpu_count()} cores, {psutil.virtual_memory().total / 2**30:.0f} GiB, Linux {kernel},"
        f" Python {platform.python_version()}, Java {version}."
    )


def bars(title: str, values: Mapping[str, float], ours: str = "alvh") -> str:
    """Horizontal bars as SVG, the longest first; those whose name begins with ``ours`` stand out."""
    ordered = sorted(values.items(), key=lambda item: -item[1])
    longest = max(values.values())
    left, wide, step = 230, 420, 30
    height = 50 + step * len(ordered)
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {left + wide + 110} {height}"'
        ' font-family="sans-serif" font-size="13">',
        f'<rect width="{left + wide + 110}" height="{height}" fill="white"/>',
        f'<text x="12" y="24" font-size="15" font-weight="bold">{escape(title)}</text>',
    ]
    for i, (name, value) in enumerate(ordered):
        y = 42 + step * i
        length = wide * value / longest
        colour = "#1f6f8b" if name.startswith(ours) else "#b8c4cc"
        lines.append(f'<text x="{left - 8}" y="{y + 15}" text-anchor="end">{escape(name)}</text>')
        lines.append(f'<rect x="{left}" y="{y}" width="{length:.1f}" height="20" fill="{colour}"/>')
        lines.append(f'<text x="{left + length + 6:.1f}" y="{y + 15}">{value:,.0f}</text>')
    return "\n".join([*lines, "</svg>", ""])
