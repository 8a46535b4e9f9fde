"""How an engine ends: of a fault, or for want of memory, which a smaller batch may mend."""

from __future__ import annotations

import re

SAID = re.compile(
    r"out of memory|OutOfMemory", re.IGNORECASE
)  # not "OOM": Ray names its killer after every death, as one that may be


class EngineDead(RuntimeError):
    """The engine's loop has ended; its process is of no further use."""


class OutOfMemory(EngineDead):
    """The engine has died for want of memory; with fewer rows at once it may live."""


def is_out_of_memory(fault: BaseException | str) -> bool:
    """Whether a fault, by what it says, is about memory that more rows at once have used up.

    A window that does not fit (vLLM: "larger than the available KV cache memory") is not: fewer rows do not mend it.
    """
    return SAID.search(fault if isinstance(fault, str) else f"{type(fault).__name__}: {fault}") is not None
