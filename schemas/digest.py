"""Digests: how rows get ids, rows get seeds and stages get fingerprints. The same inputs give the same digest for ever."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence

from pydantic import BaseModel

# Lists, tuples and dicts, read only: a list of strings is one of plain values too.
Plain = str | int | float | bool | None | Sequence["Plain"] | Mapping[str, "Plain"]


def digest(*parts: Plain | BaseModel, length: int = 20) -> str:
    """A hexadecimal digest of plain values and frozen models, `length` digits long (20 digits are 80 bits)."""
    return hashlib.sha256(canonical(parts).encode()).hexdigest()[:length]


def seed_of(*parts: Plain | BaseModel) -> int:
    """A 63-bit seed from the same kind of parts: rows carry it, so that no draw depends on order or on a worker."""
    return int(digest(*parts, length=16), 16) >> 1


def canonical(value: object) -> str:
    """JSON with sorted keys and no spaces; a model carries its class name, so two steps with equal fields differ."""
    return _JSON.encode(value)


def _plain(value: object) -> Plain:
    if isinstance(value, BaseModel):
        return {"class": type(value).__name__, **value.model_dump(mode="json")}
    raise TypeError(f"{value!r} cannot be part of a digest: use plain values or a pydantic model")


_JSON = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True, default=_plain)
