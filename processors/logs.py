"""Log lines: text for people or one JSON object a line for machines; UTC; to standard error; never a secret."""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import Final, Literal, TextIO

#: What every record has of itself; anything else on it was given with ``extra=`` and belongs into the JSON line.
_OWN: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
#: The password in a URL, and values of keys whose names say that they are secret.
_URL_SECRET: Final = re.compile(r"(?<=://)([^\s/:@]*):([^\s/@]+)(?=@)")
_KEY_SECRET: Final = re.compile(
    r"(?i)((?:password|passwd|secret|token|api_key)['\"]?\s*[:=]\s*)(\"[^\"]*\"|'[^']*'|[^\s,;)}\]]+)"
)


def without_secrets(text: str) -> str:
    """``text`` with passwords in URLs and values of secret keys replaced by ``********``."""
    return _KEY_SECRET.sub(r"\1********", _URL_SECRET.sub(r"\1:********", text))


def _time(record: logging.LogRecord) -> str:
    return datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class TextFormatter(logging.Formatter):
    """``2018-02-05T21:15:00.000Z INFO alvh.stream.runner: market is running``."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as lines of text."""
        text = f"{_time(record)} {record.levelname} {record.name}: {record.getMessage()}"
        if record.exc_info:
            text += "\n" + self.formatException(record.exc_info)
        return without_secrets(text)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: ``time``, ``level``, ``logger``, ``message``, ``error``, and what ``extra=`` gave."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as one line."""
        line: dict[str, object] = {
            "time": _time(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": without_secrets(record.getMessage()),
        }
        if record.exc_info:
            line["error"] = without_secrets(self.formatException(record.exc_info))
        for key, value in vars(record).items():
            if key not in _OWN:
                line[key] = value if isinstance(value, int | float | bool) else without_secrets(str(value))
        return json.dumps(line, ensure_ascii=False)


def set_up(
    level: Literal["debug", "info", "warning", "error"], form: Literal["text", "json"], stream: TextIO | None = None
) -> None:
    """Send the log lines of this process from ``level`` on to ``stream`` (standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter() if form == "json" else TextFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(logging.WARNING)  # libraries speak when something is wrong
    logging.getLogger("alvh").setLevel(level.upper())
    # a Kafka client tells of each lost connection, which it mends; what it cannot mend is raised and told by us
    logging.getLogger("kafka").setLevel(logging.INFO if level == "debug" else logging.CRITICAL)
    logging.captureWarnings(True)
