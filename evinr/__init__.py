"""Event-camera recordings to continuous-time intensity video, by fitting a small SIREN to each recording.

    events = evinr.read("events.txt").events
    rec = evinr.fit(events)
    rec.intensity(0.25)

Names are imported when they are first used: importing evinr starts no device and no JAX.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from converters import Frames as Frames
    from converters import ReadOptions as ReadOptions
    from converters import Recording as Recording
    from converters import events_from_columns as events_from_columns
    from converters import read as read
    from evinr.checkpoint import load as load
    from evinr.config import PAPER as PAPER
    from evinr.config import FitConfig as FitConfig
    from evinr.evaluation import evaluate as evaluate
    from evinr.events import Events as Events
    from evinr.events import InputError as InputError
    from evinr.prediction import Prediction as Prediction
    from evinr.prediction import Truth as Truth
    from evinr.prediction import of_reconstruction as of_reconstruction
    from evinr.protocols import PROTOCOLS as PROTOCOLS
    from evinr.reconstruct import fit as fit
    from evinr.reconstruction import Reconstruction as Reconstruction
    from evinr.reconstruction import Span as Span
    from evinr.simulator.simulate import Sensor as Sensor
    from evinr.simulator.simulate import simulate as simulate

_HOMES = {
    "Events": "evinr.events",
    "FitConfig": "evinr.config",
    "Frames": "converters",
    "InputError": "evinr.events",
    "PAPER": "evinr.config",
    "PROTOCOLS": "evinr.protocols",
    "Prediction": "evinr.prediction",
    "ReadOptions": "converters",
    "Reconstruction": "evinr.reconstruction",
    "Recording": "converters",
    "Sensor": "evinr.simulator.simulate",
    "Span": "evinr.reconstruction",
    "Truth": "evinr.prediction",
    "evaluate": "evinr.evaluation",
    "events_from_columns": "converters",
    "fit": "evinr.reconstruct",
    "load": "evinr.checkpoint",
    "of_reconstruction": "evinr.prediction",
    "read": "converters",
    "simulate": "evinr.simulator.simulate",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'evinr' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted(_HOMES)
