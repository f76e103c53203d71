"""From events in memory to a reconstruction, in one call."""

from evinr import fitting
from evinr.config import DEFAULT, FitConfig
from evinr.events import Events
from evinr.joining import fitted
from evinr.looks import all_wanted
from evinr.pacing import Progress, for_all
from evinr.reconstruction import Reconstruction, Span, joined
from evinr.windows import windows


def fit(
    events: Events, config: FitConfig = DEFAULT, *, span: Span | None = None, budget: float | None = None
) -> Reconstruction:
    """Fit a recording.

    Args:
        events: the recording; see `Events` for units.
        config: how to fit it.
        span: seconds to fit, in the events' clock; unset, all of it.
        budget: seconds to end within, compilation included, with fewer steps if need be; unset, those of `config`.

    Raises:
        InputError: no events in the span; for `windows="whole"`, also fewer than knots.
    """
    events, span = fitting.window(events, config, span)
    if config.windows == "whole":
        *_, last = fitting.snapshots(events, span, config, plan=fitting.deadline(config, budget))
        return fitting.reconstruction(last, events, span, config)
    progress = Progress(events.count)
    cut = progress.watched(windows([events], config))
    allow = all_wanted if budget is None else for_all(budget, progress)
    heads = {}
    for look in fitted(cut, config, allow=allow):
        heads |= {window.number: head for window, head in look.answers}
    return joined(tuple(heads.values()), config, events.height, events.width)
