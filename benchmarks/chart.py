"""The picture of the bars. matplotlib is in the benchmarks' environment only, so nothing but
the drawing imports this."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.bars import Bar, bars
from benchmarks.rounds import Measured

_WIDTH_INCHES = 9.0
_BAR_INCHES = 0.28
_OUR_COLOUR, _OTHER_COLOUR, _MARK_COLOUR = "#1f6f8b", "#b8c4c9", "#c0392b"


def draw(path: Path, measured: Sequence[Measured]) -> None:
    """Draw all rows that compare peers, one below the other."""
    drawn = [(each, found) for each in measured if (found := bars(each))]
    if not drawn:
        return
    heights = [len(found) * _BAR_INCHES + 0.75 for _, found in drawn]
    figure = Figure(figsize=(_WIDTH_INCHES, sum(heights)), layout="constrained")
    axes = figure.subplots(len(drawn), 1, height_ratios=heights, squeeze=False)[:, 0]
    for (each, found), axis in zip(drawn, axes, strict=True):
        assert each.row.baseline is not None
        _draw_row(axis, found)
        measure = each.measures()[0]
        axis.set_title(
            f"{each.row.title}: {measure.title}, {each.row.baseline.name} = 1",
            loc="left",
            fontsize=10,
        )
    figure.supxlabel("Medians of the rounds' ratios; the red mark is the target.", fontsize=8)
    figure.savefig(path, dpi=144)


def _draw_row(axis: Axes, found: Sequence[Bar]) -> None:
    places = range(len(found))
    colours = [_OUR_COLOUR if bar.is_ours else _OTHER_COLOUR for bar in found]
    axis.barh(places, [bar.ratio for bar in found], height=0.72, color=colours)
    farthest = max(max(bar.ratio, bar.target or 0) for bar in found)
    for place, bar in zip(places, found, strict=True):
        axis.text(
            bar.ratio + farthest * 0.008, place, f"{bar.ratio:.2f}", va="center", fontsize=8
        )
        if bar.target is not None:
            axis.plot([bar.target] * 2, [place - 0.46, place + 0.46], color=_MARK_COLOUR, lw=2)
    axis.axvline(1, color="#555555", lw=0.6, zorder=0)
    axis.set_yticks(places, [bar.label for bar in found], fontsize=8)
    axis.set_xlim(0, farthest * 1.08)
    axis.invert_yaxis()
    axis.tick_params(axis="x", labelsize=8)
    axis.spines[["top", "right"]].set_visible(False)
