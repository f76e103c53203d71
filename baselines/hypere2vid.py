"""HyperE2VID (Ercan et al., "HyperE2VID: Improving Event-Based Video Reconstruction via Hypernetworks", TIP 2024): the U-Net
of E2VID+ with a dynamic first decoder.
"""

from collections.abc import Mapping

from baselines.method import Method, Plain, Shapes
from baselines.unet import UNetRecurrent, of_checkpoint


def network(shapes: Shapes, options: Mapping[str, Plain]) -> UNetRecurrent | None:
    """The U-Net of such a checkpoint, if it has dynamic filters."""
    found = of_checkpoint(shapes, options)
    return found if found is not None and found.dynamic else None


HYPERE2VID = Method(
    name="hypere2vid",
    title="HyperE2VID",
    paper="Ercan et al., HyperE2VID: Improving Event-Based Video Reconstruction via Hypernetworks, TIP 2024",
    weights="HyperE2VID/model.pth, from the release of github.com/ercanburak/EVREAL",
    licence="TODO",
    parameters=10_149_881,
    network=network,
    normalised=False,
    multiple=8,
    finish="none",
)
