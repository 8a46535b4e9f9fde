"""How much data do I need: a plateau law fitted to a learning curve, and a refusal where the curve shows no plateau.

Khera et al., arXiv:2411.10545, section 3: R(x) = r - (r - a) exp(-b x), x the percentage of the data.
Deviation: their r is the highest value observed; here r, a and b are least squares. For a given b the law is linear
in r and r - a, so one number is searched. Its 95% region is that of the F test on the residuals (Bates and Watts
1988, section 6.1.2); where it reaches b = 0, a straight line fits as well as a plateau, r is not identified, and
`fit` says so.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..schemas.errors import PlainError

F_95 = {  # 95% points of F(1, key)
    **{1: 161.4, 2: 18.51, 3: 10.13, 4: 7.709, 5: 6.608, 6: 5.987, 7: 5.591, 8: 5.318, 9: 5.117, 10: 4.965},
    **{15: 4.543, 20: 4.351, 30: 4.171, 60: 4.001},
}
SLOWEST, FASTEST = 1e-3, 5e2  # b times the range of x: from all but a straight line to all but a step


class NotIdentified(PlainError, ValueError):
    """The curve does not show where it levels off."""


@dataclass(frozen=True)
class Plateau:
    """R(x) = r - (r - a) exp(-b x), with the 95% ranges of r and b."""

    r: float
    a: float
    b: float
    r_range: tuple[float, float]
    b_range: tuple[float, float]
    rmse: float

    def at(self, x: np.ndarray | float) -> np.ndarray | float:
        return self.r - (self.r - self.a) * np.exp(-self.b * np.asarray(x, dtype=np.float64))

    def needed(self, share: float = 0.95) -> tuple[float, float, float]:
        """x at which `share` of the rise from a to r is reached: the estimate, and the ends of its 95% range."""
        if not 0 < share < 1:
            raise ValueError(f"share={share}: expected a share of the whole rise, above 0 and below 1")
        slow, fast = self.b_range
        left = -float(np.log1p(-share))
        return left / self.b, left / fast, left / slow


def fit(x_P: np.ndarray, reward_P: np.ndarray) -> Plateau:
    """Least squares over all three parameters.

    Raises:
        ValueError: for rewards at fewer than five different sizes.
        NotIdentified: where a straight line, a step, or no rise at all fits within the 95% region.
    """
    x_P, reward_P = np.asarray(x_P, dtype=np.float64), np.asarray(reward_P, dtype=np.float64)
    if len(x_P) != len(reward_P) or len(np.unique(x_P)) < 5 or not np.isfinite([*x_P, *reward_P]).all():
        raise ValueError(f"{len(x_P)} sizes, {len(reward_P)} rewards: expected one finite reward each at 5 sizes or more")
    span = float(np.ptp(x_P))
    grid_G = np.geomspace(SLOWEST / span, FASTEST / span, 4000)
    residual_G = np.array([_linear(x_P, reward_P, b)[2] for b in grid_G])
    best = int(residual_G.argmin())
    limit = residual_G[best] * (1 + _f95(len(x_P) - 3) / (len(x_P) - 3)) + 1e-12
    inside = np.flatnonzero(residual_G <= limit)
    r, slope, residual = _linear(x_P, reward_P, grid_G[best])
    flat = float(((reward_P - reward_P.mean()) ** 2).sum()) <= limit
    if inside[0] == 0 or flat:
        what = "no rise at all" if flat else "a straight line"
        raise NotIdentified(
            f"{what} fits these {len(x_P)} points as well as a plateau (95%): where it levels off is not identified; "
            "measure at more sizes, or repeat the runs and give all of them"
        )
    if inside[-1] == len(grid_G) - 1:
        raise NotIdentified("the rise is over before the second size: measure at smaller sizes")
    levels = [_linear(x_P, reward_P, b)[0] for b in grid_G[inside]]
    return Plateau(
        r=r,
        a=r - slope,
        b=float(grid_G[best]),
        r_range=(min(levels), max(levels)),
        b_range=(float(grid_G[inside[0]]), float(grid_G[inside[-1]])),
        rmse=float(np.sqrt(residual / len(x_P))),
    )


def _linear(x_P: np.ndarray, reward_P: np.ndarray, b: float) -> tuple[float, float, float]:
    """(r, r - a, sum of squares) of the best law with this b."""
    design_P2 = np.stack([np.ones(len(x_P)), -np.exp(-b * x_P)], axis=1)
    (r, slope), *_ = np.linalg.lstsq(design_P2, reward_P, rcond=None)
    return float(r), float(slope), float(((design_P2 @ [r, slope] - reward_P) ** 2).sum())


def _f95(freedom: int) -> float:
    """The 95% point of F(1, freedom), from the table's next lower row: never too small."""
    return F_95[max(row for row in F_95 if row <= freedom)]
