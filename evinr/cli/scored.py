"""Scores of a fit in a folder, for those who make many."""

from pathlib import Path

from evinr.cli import prediction_files, scoring, source
from evinr.cli.side_by_side import of
from evinr.cli.source import Source
from evinr.evaluation import evaluate
from evinr.matching import alone


def means(folder: Path, given: Source, rules: scoring.Rules) -> dict[str, float]:
    """The mean of every metric that can be had; of a fit that goes on, of the windows that are there.

    Raises InputError, which names the folder, where nothing can be scored.
    """
    with of(folder):
        prediction = scoring.placed(folder, prediction_files.read(folder, None, "auto"), given).prediction
        truth = source.truth(given, rules.protocol.light) or alone([prediction])
        found = evaluate(prediction, truth, given.events, rules.protocol, cut=rules.cut, lpips=rules.lpips)
    return {name: mean.value for name, mean in found.means.items() if mean.value is not None}
