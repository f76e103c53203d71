"""A table for people: ours, by sequence and pooled, above what others published."""

from collections.abc import Mapping, Sequence

from evinr.protocols import Protocol
from evinr.scores import METRICS, Evaluation, Mean
from experiments.tables.published import Row

NOTES = 20
"""Notes of sequences that are printed; all are in the JSON."""


def table(
    evaluations: Mapping[str, Evaluation],
    pooled: Mapping[str, Mean],
    absent: Mapping[str, str],
    protocol: Protocol,
    published: Sequence[Row],
) -> list[str]:
    """The lines of the table. `absent` are the sequences without scores, and why."""
    names = ("mse", protocol.ssim, "lpips")
    titles = [METRICS[name].title + (" -" if METRICS[name].better == "lower" else " +") for name in names]
    rows: list[Sequence[str]] = [("method", "protocol", "frames", *titles, "")]
    for name, evaluation in evaluations.items():
        means = [_number(evaluation.means.get(metric)) for metric in names]
        rows.append((name, protocol.name, counted(evaluation), *means, ""))
        others = [row for row in published if name in row.sequences]
        rows += [(f"  {row.method}", known(row), "", *map(_number, row.sequences[name]), "") for row in others]
    total = len(evaluations) + len(absent)
    scored = sum(int(evaluation.scored.sum()) for evaluation in evaluations.values())
    every = sum(len(evaluation.times) for evaluation in evaluations.values())
    means = [_number(pooled.get(metric)) for metric in names]
    rows.append((f"evinr, {len(evaluations)} of {total}", protocol.name, f"{scored} of {every}", *means, ""))
    sources = list(dict.fromkeys(row.source for row in published))
    rows += [
        (row.method, known(row), "", *map(_number, row.scores), f"[{sources.index(row.source) + 1}]")
        for row in published
    ]
    lines = _aligned(rows)
    lines.append("- lower is better, + higher is better; under a sequence, what others published of it")
    weight = "weighted by their frames" if protocol.averaging == "frames" else "all sequences alike"
    lines.append(f"evinr: mean over {len(evaluations)} of {total} sequences, {weight}{_also(pooled, names)}")
    lines += [f"not in that mean: {line}" for line in grouped(absent)]
    notes = dict.fromkeys(note for evaluation in evaluations.values() for note in evaluation.notes)
    for note in list(notes)[:NOTES]:
        names = [name for name, evaluation in evaluations.items() if note in evaluation.notes]
        lines.append(f"{', '.join(names)}: {note}")
    if published:
        lines += _caution(protocol, published, bool(absent))
    else:
        lines.append("no published numbers of this dataset were found")
    return lines + [f"[{index + 1}] {source}" for index, source in enumerate(sources)]


def counted(evaluation: Evaluation) -> str:
    """How many of the frames have scores."""
    return f"{int(evaluation.scored.sum())} of {len(evaluation.times)}"


def grouped(said: Mapping[str, str]) -> list[str]:
    """What is said of sequences, each thing once, behind the names of those that it is said of."""
    return [f"{', '.join(name for name in said if said[name] == why)}: {why}" for why in dict.fromkeys(said.values())]


def known(row: Row) -> str:
    """The protocol of a published row, as far as it is known."""
    return (row.protocol or "unknown") + " (inferred)" * (row.known_by == "inferred")


def _also(pooled: Mapping[str, Mean], shown: Sequence[str]) -> str:
    rest = [f"{METRICS[name].title} {_number(mean)}" for name, mean in pooled.items() if name not in shown]
    return f"; besides: {', '.join(rest)}" if rest else ""


def _caution(protocol: Protocol, published: Sequence[Row], partial: bool) -> list[str]:
    lines = []
    if any(row.protocol is None for row in published):
        lines.append(
            "a protocol `unknown` means: cuts, normalisation and SSIM of that row are not known; do not compare"
        )
    others = sorted({row.protocol for row in published if row.protocol not in (None, protocol.name)})
    if others:
        lines.append(f"SSIM under {', '.join(others)} is not that under {protocol.name}: compare rows of one protocol")
    if partial:
        lines.append(
            "published means are over all sequences of the dataset: compare the mean above only when none is missing"
        )
    return lines


def _number(value: Mean | float | None) -> str:
    number = value.value if isinstance(value, Mean) else value
    return "-" if number is None else f"{number:.4f}" if abs(number) < 10 else f"{number:.2f}"


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    left = (0, 1, len(widths) - 1)
    return [
        "  ".join(
            cell.ljust(width) if column in left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
