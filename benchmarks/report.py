"""What was measured, as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from benchmarks.measures import Measure
from benchmarks.peers import Peer
from benchmarks.rounds import Measured
from benchmarks.rows.row import Target

_HOW_TO_READ = (
    "Every figure is the median of interleaved rounds, with the least and the greatest where"
    " there were several. Ratios are medians of the ratios within each round. Files are warm"
    " in memory unless a row says otherwise; each server is one worker. The peak RSS is the sum"
    " over its processes, of the row so far. A GB is 10⁹ bytes."
)


def markdown(title: str, machine: str, measured: Sequence[Measured]) -> str:
    """Return the whole report; `title` is its heading."""
    parts = [f"# {title}", machine, _HOW_TO_READ]
    parts += ["## Targets", "What falls short is in bold.", _targets(measured)]
    for each in measured:
        parts += [f"## {each.row.title}", f"`{each.row.name}`. {_circumstances(each)}"]
        parts += list(_outcome(each))
    return "\n\n".join(parts) + "\n"


def shortfalls(measured: Iterable[Measured]) -> list[str]:
    """Return a line for each target that was missed or not measured."""
    return [
        f"{each.row.title}: {target.sentence()}: {_value(each, target)}"
        for each in measured
        for target in each.row.targets
        if not _is_met(each, target)
    ]


def _targets(measured: Sequence[Measured]) -> str:
    lines = [
        [each.row.title, target.sentence(), _verdict(each, target)]
        for each in measured
        for target in each.row.targets
    ]
    return _table(["work", "target", "measured"], lines, of_numbers=False)


def _is_met(measured: Measured, target: Target) -> bool:
    value = measured.value(target)
    return value is not None and target.is_met_by(value)


def _verdict(measured: Measured, target: Target) -> str:
    text = _value(measured, target)
    return text if _is_met(measured, target) else f"**{text}**"


def _value(measured: Measured, target: Target) -> str:
    value = measured.value(target)
    if value is None:
        reason = measured.reason_against or measured.failures.get(target.peer)
        if reason is None and target.times is not None:
            reason = measured.failures.get(target.times)
        return f"not measured: {reason}" if reason else "not measured"
    return f"{value:.2f} ×" if target.times is not None else target.measure.text(value)


def _circumstances(measured: Measured) -> str:
    row = measured.row
    count = max(map(len, measured.figures.values()), default=0)
    rounds = f"{count} rounds" if count > 1 else "One round"
    return f"{row.how} {rounds}; files on {row.place.value}; {row.processors.value}."


def _outcome(measured: Measured) -> Iterator[str]:
    if measured.reason_against is not None:
        yield f"Not measured: {measured.reason_against}."
        return
    if measured.figures:
        yield _figures(measured)
    for peer, reason in measured.failures.items():
        yield f"{peer.name}: {reason}."


def _figures(measured: Measured) -> str:
    measures = measured.measures()
    baseline = measured.row.baseline
    names = ["", *(measure.title for measure in measures)]
    if baseline is not None:
        names.insert(2, f"× {baseline.name}")
    lines = []
    for peer in measured.figures:
        line = [peer.name, *(_cell(measured, peer, measure) for measure in measures)]
        if baseline is not None:
            ratio = measured.ratio(peer, baseline, measures[0])
            line.insert(2, "" if ratio is None else f"{ratio:.2f}")
        lines.append(line)
    return _table(names, lines)


def _cell(measured: Measured, peer: Peer, measure: Measure) -> str:
    median, extremes = measured.median(peer, measure), measured.extremes(peer, measure)
    if median is None or extremes is None:
        return ""
    least, greatest = map(measure.text, extremes)
    text = measure.text(median)
    return text if least == greatest else f"{text} ({least} to {greatest})"


def _table(
    names: Sequence[str], lines: Iterable[Sequence[str]], *, of_numbers: bool = True
) -> str:
    rule = [":--", *["--:" if of_numbers else ":--"] * (len(names) - 1)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in [names, rule, *lines])
