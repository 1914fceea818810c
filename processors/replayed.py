"""What a replay wrote into its folder, read back."""

from __future__ import annotations

from pathlib import Path
from typing import TypeVar

from pydantic import ValidationError

from processors.errors import UserError
from topics.message import Message

M = TypeVar("M", bound=Message)


def lines(folder: Path, topic: str) -> list[bytes]:
    """The records of a topic, one a line. UserError when there is no such file or it cannot be read."""
    file = folder / f"{topic}.jsonl"
    try:
        return file.read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"{file}: cannot be read ({error.strerror}); give the folder that a replay wrote") from error


def messages(folder: Path, topic: str, kind: type[M]) -> list[M]:
    """The same as messages of one kind, in their order. UserError also when a line is none of this version."""
    found = []
    for number, line in enumerate(lines(folder, topic), start=1):
        try:
            found.append(kind.model_validate_json(line))
        except ValidationError as error:
            file = folder / f"{topic}.jsonl"
            what = kind.__name__.lower()
            raise UserError(f"{file}, line {number}: no {what} of this version can be read there") from error
    return found
