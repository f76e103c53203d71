"""Weights that come inside an installed package, found without importing it: what it needs to run need not be there."""

import importlib.util
from pathlib import Path

PIE_NET_FILES = {"pie-net": "model.pth", "pie-net-lite": "model_lite.pth"}
"""By the names of the methods."""


def pie_net_weights(name: str) -> Path | None:
    """The published weights of `pie-net` or `pie-net-lite`, or None where the package event-pienet is not installed."""
    found = importlib.util.find_spec("pie_net")
    folders = found.submodule_search_locations if found is not None else None
    files = [Path(folder, "pretrained", PIE_NET_FILES[name]) for folder in folders or ()]
    return next((file for file in files if file.is_file()), None)
