"""All methods, by the names that the command line knows them by."""

from baselines.e2vid import E2VID, E2VID_PLUS, SSL_E2VID
from baselines.efnet import EFNET
from baselines.et_net import ET_NET
from baselines.eventhdr import EVENTHDR
from baselines.firenet import FIRENET, FIRENET_PLUS
from baselines.hypere2vid import HYPERE2VID
from baselines.method import Method
from baselines.ner_net import NER_NET
from baselines.pie_net import PIE_NET, PIE_NET_LITE
from baselines.spade_e2vid import SPADE_E2VID

METHODS = {
    method.name: method
    for method in (
        *(E2VID, E2VID_PLUS, FIRENET, FIRENET_PLUS, SSL_E2VID),
        *(SPADE_E2VID, ET_NET, HYPERE2VID, PIE_NET, PIE_NET_LITE),
        *(NER_NET, EVENTHDR),
    )
}
"""Those that make pictures of events (`evinr baseline`)."""
DEBLURRING: dict[str, Method] = {EFNET.name: EFNET}
"""Those that make blurred pictures sharp (`evinr deblur`)."""


def every() -> dict[str, Method]:
    """Both kinds."""
    return METHODS | DEBLURRING
