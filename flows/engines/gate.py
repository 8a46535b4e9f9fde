"""How many requests a server is sent at once: additive increase, multiplicative decrease, as TCP finds a line's width.

Every answer opens the gate a little (by one after a whole round), a refusal halves it, though only once for all requests that were
under way when it was halved last: they are refused for the same reason. (V. Jacobson, Congestion avoidance and control, 1988.)
"""

from __future__ import annotations

import asyncio
import random
from collections import deque

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.5, 60.0


class Gate:
    """Lets at most `limit` requests be under way; `most` is the highest that the limit may rise to."""

    def __init__(self, most: int) -> None:
        self.most, self.limit = most, float(most)
        self._under_way = 0
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._tickets = self._halved_at = 0

    async def enter(self) -> int:
        """Wait for a place; returns a ticket that says when it was taken."""
        while self._free() < 1:
            place = asyncio.get_running_loop().create_future()
            self._waiting.append(place)
            try:
                await place
            except asyncio.CancelledError:
                self._wake()  # the place may have been given to this one already
                raise
        self._under_way += 1
        self._tickets += 1
        return self._tickets

    def leave(self) -> None:
        """Give the place back."""
        self._under_way -= 1
        self._wake()

    def answered(self) -> None:
        """The server has kept up."""
        self.limit = min(float(self.most), self.limit + 1.0 / self.limit)

    def refused(self, ticket: int) -> None:
        """The server has said that it is too much."""
        if ticket > self._halved_at:
            self.limit = max(1.0, self.limit / 2.0)
            self._halved_at = self._tickets

    def _free(self) -> int:
        return max(1, int(self.limit)) - self._under_way

    def _wake(self) -> None:
        """Let as many look again as there are places."""
        for _ in range(min(self._free(), len(self._waiting))):
            place = self._waiting.popleft()
            if not place.done():
                place.set_result(None)


def pause_seconds(attempt: int, asked_for: float, chance: random.Random) -> float:
    """How long to wait after the `attempt`-th failure, from 0: doubling, with half of it left to chance, and what was asked for."""
    longest = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2.0**attempt)
    return max(asked_for, longest * (0.5 + 0.5 * chance.random()))
