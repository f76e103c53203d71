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
    weights="pretrained/HyperE2VID/model.pth of github.com/ercanburak/EVREAL; first in github.com/ercanburak/HyperE2VID",
    licence="MIT, as EVREAL, which is by the same author and has the file in its repository",
    parameters=10_149_881,
    network=network,
    normalised=False,
    multiple=8,
    finish="none",
)
