"""A recording's windows fitted in either way, behind one interface."""

from collections.abc import Iterable, Iterator

from jax.sharding import Mesh

from evinr.config import FitConfig
from evinr.looks import Allow, Answer, Look, all_wanted
from evinr.parallel import parallel
from evinr.sequential import sequential
from evinr.windows import Window


def fitted(
    cut: Iterable[Window],
    config: FitConfig,
    *,
    allow: Allow = all_wanted,
    last: Answer | None = None,
    mesh: Mesh | None = None,
) -> Iterator[Look]:
    """Fit windows in their order, a look after every chunk of steps.

    `last` is the window before the first one with its answer, unless that begins the recording. `mesh` (see `devices`) takes
    the batches of `--windows parallel`, and the pixels of each window else.
    """
    if config.windows == "sequential":
        yield from sequential(cut, config, allow, last, mesh)
    else:
        yield from parallel(cut, config, allow, last, mesh)
