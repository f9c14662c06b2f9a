"""A small picture of cost against size, as SVG written by hand."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

WIDTH, HEIGHT = 420, 240
LEFT, RIGHT, TOP, BOTTOM = 48, 24, 36, 36


def svg(title: str, points: Sequence[tuple[float, float]]) -> str:
    """A line through `points`, both axes from 0."""
    most_x = max((x for x, _ in points), default=1) or 1
    most_y = max((y for _, y in points), default=1) * 1.15 or 1

    def at(x: float, y: float) -> tuple[float, float]:
        across = LEFT + (WIDTH - LEFT - RIGHT) * x / most_x
        return round(across, 1), round(HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * y / most_y, 1)

    places = [(at(x, y), x, y) for x, y in points]
    line = " ".join(f"{x},{y}" for (x, y), _, _ in places)
    left, floor = at(0, 0)
    right, _ = at(most_x, 0)
    marks = [
        f'<circle cx="{px}" cy="{py}" r="4" fill="#2563eb"/>'
        f'<text x="{px}" y="{py - 9}" text-anchor="middle">{y:.1f}</text>'
        f'<text x="{px}" y="{floor + 16}" text-anchor="middle">{x:g}</text>'
        for (px, py), x, y in places
    ]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" role="img"',
            f' aria-label="{escape(title)}" font-family="sans-serif" font-size="11" fill="#334155">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="#fff"/>',
            f'<text x="{LEFT}" y="20" font-size="13" font-weight="bold">{escape(title)}</text>',
            f'<path d="M{left} {TOP}V{floor}H{right}" fill="none" stroke="#94a3b8"/>',
            f'<polyline points="{line}" fill="none" stroke="#2563eb" stroke-width="2"/>',
            *marks,
            "</svg>\n",
        ]
    )
