"""E2VID (Rebecq et al., "High Speed and High Dynamic Range Video with an Event Camera", TPAMI 2019), E2VID+ (Stoffregen
et al., "Reducing the Sim-to-Real Gap for Event Cameras", ECCV 2020) and SSL-E2VID (Paredes-Valles and de Croon, "Back to
Event Basics", CVPR 2021): one recurrent U-Net, trained three times.
"""

from collections.abc import Mapping

from baselines.method import Method, Plain, Shapes
from baselines.unet import UNetRecurrent, of_checkpoint


def network(shapes: Shapes, options: Mapping[str, Plain]) -> UNetRecurrent | None:
    """The U-Net of such a checkpoint, but none with dynamic filters."""
    found = of_checkpoint(shapes, options)
    return None if found is None or found.dynamic else found


def _e2vid(shapes: Shapes, options: Mapping[str, Plain]) -> UNetRecurrent | None:
    # Its checkpoint says nothing of the sigmoid, which EVREAL and rpg_e2vid put there themselves.
    return network(shapes, {**options, "final_activation": "sigmoid"})


E2VID = Method(
    name="e2vid",
    title="E2VID",
    paper="Rebecq et al., High Speed and High Dynamic Range Video with an Event Camera, TPAMI 2019",
    weights="E2VID_lightweight.pth.tar, from the README of github.com/uzh-rpg/rpg_e2vid; pretrained/E2VID/model.pth of EVREAL",
    licence="none stated for the weights, rpg_e2vid's code is GPL-3.0; EVREAL, which has the file in its repository, is MIT",
    parameters=10_712_098,
    network=_e2vid,
    normalised=True,
    multiple=8,
    finish="robust",
)
E2VID_PLUS = Method(
    name="e2vid+",
    title="E2VID+",
    paper="Stoffregen et al., Reducing the Sim-to-Real Gap for Event Cameras, ECCV 2020",
    weights="reconstruction_model.pth of github.com/TimoStoff/event_cnn_minimal; pretrained/E2VID+/model.pth of EVREAL",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=10_710_401,
    network=network,
    normalised=False,
    multiple=8,
    finish="none",
)
SSL_E2VID = Method(
    name="ssl-e2vid",
    title="SSL-E2VID",
    paper="Paredes-Valles and de Croon, Back to Event Basics: Self-Supervised Learning of Image Reconstruction, CVPR 2021",
    weights="pretrained/SSL-E2VID/model.pth of github.com/ercanburak/EVREAL; first in github.com/tudelft/ssl_e2vid",
    licence="none stated by its authors; EVREAL, which has the file in its repository, is MIT",
    parameters=10_710_401,
    network=network,
    normalised=False,
    multiple=8,
    finish="exprobust",
)
