"""Plots as inline SVG: a few shapes, no script, no fonts of their own, legible on a phone and in the dark."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

import numpy as np

WIDTH, HEIGHT, PAD = 360, 190, 34


def histogram(series: dict[str, np.ndarray], unit: str, bins: int = 20) -> str:
    """Histograms of one or two series over the same axis, laid over each other."""
    finite = {name: _finite(values) for name, values in series.items()}
    every_N = np.concatenate([*finite.values(), np.empty(0)])
    if not len(every_N):
        return _nothing()
    low, high = float(every_N.min()), float(every_N.max())
    edges_B = np.linspace(low, high if high > low else low + 1, bins + 1)
    counts = {name: np.histogram(values, edges_B)[0] for name, values in finite.items()}
    most = max(int(c.max()) for c in counts.values()) or 1
    step = (WIDTH - 2 * PAD) / bins
    shapes = []
    for place, (name, counts_B) in enumerate(counts.items()):
        for i, count in enumerate(counts_B.tolist()):
            tall = (HEIGHT - 2 * PAD) * count / most
            told = f"{name}: {count} from {edges_B[i]:.4g} to {edges_B[i + 1]:.4g}"
            shapes.append(_bar(PAD + i * step + 0.5, HEIGHT - PAD - tall, step - 1, tall, f"s{place}", told))
    return _svg(shapes + _axes(low, float(edges_B[-1]), most, unit), f"histogram of {', '.join(series)}") + _legend(series)


def scatter(x_N: np.ndarray, y_N: np.ndarray, x_unit: str, y_unit: str, most: int = 1500) -> str:
    """Points, with lines through nought where it is in sight; at most `most`, evenly taken."""
    keep_N = np.isfinite(x_N) & np.isfinite(y_N)
    x_N, y_N = np.asarray(x_N)[keep_N], np.asarray(y_N)[keep_N]
    if not len(x_N):
        return _nothing()
    taken_N = np.linspace(0, len(x_N) - 1, min(most, len(x_N))).astype(int)
    x_N, y_N = x_N[taken_N], y_N[taken_N]
    (x0, x1), (y0, y1) = _ends(x_N), _ends(y_N)
    across_N = PAD + (x_N - x0) / (x1 - x0) * (WIDTH - 2 * PAD)
    down_N = HEIGHT - PAD - (y_N - y0) / (y1 - y0) * (HEIGHT - 2 * PAD)
    dots = [f'<circle class="dot" cx="{a:.1f}" cy="{d:.1f}" r="2"/>' for a, d in zip(across_N, down_N, strict=True)]
    if x0 < 0 < x1:
        nought = PAD - x0 / (x1 - x0) * (WIDTH - 2 * PAD)
        dots.insert(0, f'<line class="axis" x1="{nought:.1f}" y1="{PAD}" x2="{nought:.1f}" y2="{HEIGHT - PAD}"/>')
    return _svg(dots + _axes(x0, x1, y1, x_unit, y0, y_unit), f"{y_unit} against {x_unit}")


def lines(
    series: dict[str, Sequence[tuple[float, float]]],
    x_unit: str,
    y_unit: str,
    bands: Sequence[tuple[float, float, float]] = (),
) -> str:
    """One or two series of points joined by lines; `bands` are upright intervals: (x, low, high)."""
    every = [(x, y) for points in series.values() for x, y in points] + [(x, y) for x, *ends in bands for y in ends]
    found = [(x, y) for x, y in every if np.isfinite(x) and np.isfinite(y)]
    if not found:
        return _nothing()
    (x0, x1), (y0, y1) = (_ends(np.asarray(values, dtype=np.float64)) for values in zip(*found, strict=True))

    def at(x: float, y: float) -> tuple[float, float]:
        across = PAD + (x - x0) / (x1 - x0) * (WIDTH - 2 * PAD)
        return across, HEIGHT - PAD - (y - y0) / (y1 - y0) * (HEIGHT - 2 * PAD)

    shapes = []
    for x, low, high in bands:
        (across, top), (_, floor) = at(x, high), at(x, low)
        shapes.append(f'<line class="band" x1="{across:.1f}" y1="{top:.1f}" x2="{across:.1f}" y2="{floor:.1f}"/>')
    for place, (name, points) in enumerate(series.items()):
        joined = [(*at(x, y), x, y) for x, y in points if np.isfinite(y)]
        path = " ".join(f"{across:.1f},{down:.1f}" for across, down, _, _ in joined)
        shapes.append(f'<polyline class="line s{place}" points="{path}"/>')
        if len(joined) <= 60:
            dots = (
                f'<circle class="dot" cx="{a:.1f}" cy="{d:.1f}" r="3"><title>{_told(name, x, y)}</title></circle>'
                for a, d, x, y in joined
            )
            shapes += dots
    return _svg(shapes + _axes(x0, x1, y1, x_unit, y0, y_unit), f"{', '.join(series)} by {x_unit}") + _legend(series)


def bars(rows: Sequence[tuple[str, float, str]]) -> str:
    """Named bars side by side, as HTML: (name, length, what is said beside it)."""
    most = max((length for _, length, _ in rows), default=0) or 1
    return "".join(
        f'<div class="row"><span class="name">{escape(name)}</span><span class="track">'
        f'<i style="width:{100 * length / most:.1f}%"></i></span><span class="said">{escape(said)}</span></div>'
        for name, length, said in rows
    )


def _told(name: str, x: float, y: float) -> str:
    return escape(f"{name}: {y:.4g} at {x:g}")


def _finite(values: np.ndarray) -> np.ndarray:
    values_N = np.asarray(values, dtype=np.float64)
    return values_N[np.isfinite(values_N)]


def _ends(values_N: np.ndarray) -> tuple[float, float]:
    low, high = float(values_N.min()), float(values_N.max())
    return (low, high) if high > low else (low - 0.5, high + 0.5)


def _bar(x: float, y: float, wide: float, tall: float, kind: str, told: str) -> str:
    box = f'x="{x:.1f}" y="{y:.1f}" width="{max(wide, 0.5):.1f}" height="{tall:.1f}"'
    return f'<rect class="{kind}" {box}><title>{escape(told)}</title></rect>'


def _axes(low: float, high: float, top: float, unit: str, bottom: float = 0, top_unit: str = "") -> list[str]:
    floor, right = HEIGHT - PAD, WIDTH - PAD
    return [
        f'<line class="axis" x1="{PAD}" y1="{floor}" x2="{right}" y2="{floor}"/>',
        f'<text x="{PAD}" y="{floor + 14}">{low:.4g}</text>',
        f'<text x="{right}" y="{floor + 14}" text-anchor="end">{high:.4g}</text>',
        f'<text x="{WIDTH / 2}" y="{HEIGHT - 4}" text-anchor="middle">{escape(unit)}</text>',
        f'<text x="{PAD - 4}" y="{PAD + 4}" text-anchor="end">{top:.4g}</text>',
        f'<text x="{PAD - 4}" y="{floor}" text-anchor="end">{bottom:.4g}</text>',
        f'<text x="{PAD}" y="{PAD - 12}">{escape(top_unit)}</text>',
    ]


def _svg(shapes: Sequence[str], told: str) -> str:
    inside = "".join(shapes)
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(told, quote=True)}">{inside}</svg>'


def _legend(series: Iterable[str]) -> str:
    names = list(series)
    if len(names) < 2:
        return ""
    marks = "".join(f'<span><i class="s{i}"></i>{escape(name)}</span>' for i, name in enumerate(names))
    return f'<p class="legend">{marks}</p>'


def _nothing() -> str:
    return '<p class="none">nothing to plot</p>'
