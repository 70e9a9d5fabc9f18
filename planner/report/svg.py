"""Small vector drawings for a page: axes with round ticks, lines, bands, bars and marks. All text is escaped."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from html import escape

# Outlines about the origin, of about equal area: the shape tells what the colour does.
SHAPES = {
    "circle": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0-8 0Z",
    "diamond": "M0-5.4L5.4 0L0 5.4L-5.4 0Z",
    "square": "M-3.7-3.7H3.7V3.7H-3.7Z",
    "up": "M0-5L4.8 3.6H-4.8Z",
    "down": "M0 5L4.8-3.6H-4.8Z",
    "cross": "M-4-4L4 4M-4 4L4-4",
    "plus": "M0-5V5M-5 0H5",
}
TICKS = 5


@dataclass(frozen=True)
class Axis:
    """A linear or logarithmic scale from numbers to places.

    Attributes:
        low: Smallest number.
        high: Largest number, above the smallest.
        start: Place of the smallest.
        end: Place of the largest.
        log: Whether places are even in the logarithm.
    """

    low: float
    high: float
    start: float
    end: float
    log: bool = False

    def at(self, value: float) -> float:
        """The place of a number; numbers outside lie outside.

        Example:
            >>> Axis(1, 100, 0, 10, log=True).at(10)
            5.0
        """
        if self.log:
            share = math.log(max(value, self.low * 1e-6) / self.low) / math.log(self.high / self.low)
        else:
            share = (value - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)

    def ticks(self) -> list[float]:
        """Round numbers, about five.

        Example:
            >>> Axis(0, 1, 0, 1).ticks(), Axis(1, 1000, 0, 1, log=True).ticks()
            ([0.0, 0.2, 0.4, 0.6, 0.8, 1.0], [1.0, 10.0, 100.0, 1000.0])
        """
        if not self.log:
            return _even_ticks(self.low, self.high)
        for digits in ((1,), (1, 3), (1, 2, 5)):
            powers = range(math.floor(math.log10(self.low)) - 1, math.ceil(math.log10(self.high)) + 1)
            found = [digit * 10.0**power for power in powers for digit in digits]
            inside = [one for one in found if self.low * (1 - 1e-9) <= one <= self.high * (1 + 1e-9)]
            if len(inside) >= 3:
                return inside[:: math.ceil(len(inside) / (TICKS + 1))]
        return _even_ticks(self.low, self.high)


def _even_ticks(low: float, high: float) -> list[float]:
    rough = (high - low) / TICKS
    unit = 10.0 ** math.floor(math.log10(rough))
    step = min((digit * unit for digit in (1, 2, 5, 10)), key=lambda one: abs(one - rough))
    return [round(i * step, 12) for i in range(math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9) + 1)]


def spanning(values: Iterable[float], start: float, end: float, log: bool = False, margin: float = 0.06) -> Axis:
    """The axis that holds some numbers, with a margin at each end."""
    known = list(values)
    low, high = min(known), max(known)
    if log:
        factor = max((high / low) ** margin, 1.05)
        return Axis(low / factor, high * factor, start, end, log=True)
    room = margin * (high - low) or abs(high) * margin or 1.0
    return Axis(low - room, high + room, start, end)


@dataclass
class Drawing:
    """A drawing with two axes; what is added later lies above.

    Attributes:
        name: Words for what it shows, for people who cannot see it.
        width: Width of the whole, in its own units.
        height: Height of the whole.
        x: Horizontal scale.
        y: Vertical scale.
        identity: Identity of the drawing in its page.
        parts: Elements of the drawing.
    """

    name: str
    width: int
    height: int
    x: Axis
    y: Axis
    identity: str
    parts: list[str] = field(default_factory=list)

    def frame(
        self,
        x_label: str,
        y_label: str,
        x_text: Callable[[float], str],
        y_text: Callable[[float], str],
        x_ticks: Sequence[float] | None = None,
        whole: bool = False,
    ) -> None:
        """Grid lines, numbers and labels; `whole` numbers alone on the vertical axis."""
        for value in self.x.ticks() if x_ticks is None else x_ticks:
            at = _n(self.x.at(value))
            self.parts.append(f'<path class="grid" d="M{at} {_n(self.y.start)}V{_n(self.y.end)}"/>')
            self.text(self.x.at(value), self.y.start + 16, x_text(value), "middle")
        for value in (one for one in self.y.ticks() if not whole or one == int(one)):
            at = _n(self.y.at(value))
            self.parts.append(f'<path class="grid" d="M{_n(self.x.start)} {at}H{_n(self.x.end)}"/>')
            self.text(self.x.start - 6, self.y.at(value) + 4, y_text(value), "end")
        self.text((self.x.start + self.x.end) / 2, self.height - 6, x_label, "middle", "label")
        self.text(self.x.start - 6, 13, y_label, "start", "label", shift=-self.x.start + 10)

    def text(self, x: float, y: float, text: str, anchor: str, kind: str = "tick", shift: float = 0.0) -> None:
        """A text."""
        place = f'x="{_n(x + shift)}" y="{_n(y)}" text-anchor="{anchor}"'
        self.parts.append(f'<text class="{kind}" {place}>{escape(text)}</text>')

    def line(self, xs: Sequence[float], ys: Sequence[float], kind: str) -> None:
        """A line through numbers."""
        if len(xs) > 1:
            self.parts.append(f'<path class="line {kind}" d="{self._path(xs, ys)}" {self._clip()}/>')

    def band(self, xs: Sequence[float], lower: Sequence[float], upper: Sequence[float], kind: str) -> None:
        """The area between two lines."""
        if len(xs) > 1:
            around = self._path([*xs, *reversed(xs)], [*upper, *reversed(lower)])
            self.parts.append(f'<path class="band {kind}" d="{around}Z" {self._clip()}/>')

    def interval(self, x: float, lower: float, upper: float, kind: str, shift: float = 0.0) -> None:
        """A vertical interval with its ends, moved aside by some units."""
        at, low, high = self.x.at(x) + shift, self.y.at(lower), self.y.at(upper)
        ends = "".join(f"M{_n(at - 3)} {_n(end)}h6" for end in (low, high))
        path = f"M{_n(at)} {_n(low)}V{_n(high)}{ends}"
        self.parts.append(f'<path class="line interval {kind}" d="{path}" {self._clip()}/>')

    def mark(self, x: float, y: float, shape: str, kind: str, title: str = "", shift: float = 0.0) -> None:
        """A mark, moved aside by some units; one with a title can be pointed at and reached by keyboard."""
        place = f'transform="translate({_n(self.x.at(x) + shift)} {_n(self.y.at(y))})"'
        if title:
            told = f"<title>{escape(title)}</title>"
            self.parts.append(
                f'<path class="mark point {kind}" d="{SHAPES[shape]}" {place} tabindex="-1">{told}</path>'
            )
        else:
            self.parts.append(f'<path class="mark {kind}" d="{SHAPES[shape]}" {place}/>')

    def bar(self, x: float, y: float, width: float, height: float, kind: str, title: str) -> None:
        """A bar, in places; it can be pointed at."""
        size = f'x="{_n(x)}" y="{_n(y)}" width="{_n(width)}" height="{_n(max(height, 0.5))}"'
        self.parts.append(f'<rect class="bar point {kind}" {size} tabindex="-1"><title>{escape(title)}</title></rect>')

    def cursor(self, unit: str) -> None:
        """A vertical line that the page's slider moves, by `macs` or `c`; it is hidden until then."""
        ends = f'data-low="{self.x.low:.9g}" data-high="{self.x.high:.9g}"'
        places = f'data-start="{_n(self.x.start)}" data-end="{_n(self.x.end)}"'
        path = f'd="M0 {_n(self.y.start)}V{_n(self.y.end)}" visibility="hidden"'
        self.parts.append(f'<path class="cursor" data-unit="{unit}" {ends} {places} {path}/>')

    def svg(self, kind: str) -> str:
        """The element."""
        left, top = min(self.x.start, self.x.end), min(self.y.start, self.y.end)
        area = f'x="{_n(left)}" y="{_n(top)}" width="{_n(abs(self.x.end - self.x.start))}"'
        clip = f'<clipPath id="{self.identity}-area"><rect {area} height="{_n(abs(self.y.end - self.y.start))}"/>'
        head = f'<svg class="{kind}" viewBox="0 0 {self.width} {self.height}" role="group"'
        body = "\n".join(self.parts)
        return f'{head} aria-label="{escape(self.name)}">{clip}</clipPath>\n{body}\n</svg>'

    def _path(self, xs: Sequence[float], ys: Sequence[float]) -> str:
        return "M" + "L".join(f"{_n(self.x.at(x))} {_n(self.y.at(y))}" for x, y in zip(xs, ys, strict=True))

    def _clip(self) -> str:
        return f'clip-path="url(#{self.identity}-area)"'


def _n(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
