"""Where a process stands: its threads' stacks, and what the coroutines of its event loop wait for."""

from __future__ import annotations

import asyncio
import sys
import threading
import traceback
from collections import Counter
from types import CodeType

DEEPEST = 12  # frames of a stack that are shown, the innermost
MOST_PLACES = 5  # of those where coroutines wait


def stacks(loop: asyncio.AbstractEventLoop, thread: int) -> str:
    """The stack of the thread that runs an event loop, and the places where its coroutines wait, the commonest first.

    May be called from another thread: one that stands still cannot tell by itself.
    """
    name = next((one.name for one in threading.enumerate() if one.ident == thread), str(thread))
    frames = traceback.format_stack(sys._current_frames()[thread])[-DEEPEST:]
    places = Counter(_waits_at(task) for task in asyncio.all_tasks(loop))
    told = [f"  {count} coroutines wait at {place}\n" for place, count in places.most_common(MOST_PLACES)]
    return "".join([f"  thread {name}, innermost call last:\n", *frames, *told]).rstrip()


def _waits_at(task: asyncio.Task) -> str:
    """The innermost line of a suspended coroutine: a task itself tells its outermost only."""
    step: object = task.get_coro()
    while (inner := getattr(step, "cr_await", None)) is not None and hasattr(inner, "cr_frame"):
        step = inner
    code, frame = getattr(step, "cr_code", None), getattr(step, "cr_frame", None)
    if not isinstance(code, CodeType) or frame is None:
        return "its end"
    return f"{code.co_filename}:{frame.f_lineno} in {code.co_qualname}"
