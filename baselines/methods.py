"""All methods, by the names that the command line knows them by."""

from baselines.e2vid import E2VID, E2VID_PLUS, SSL_E2VID
from baselines.firenet import FIRENET, FIRENET_PLUS

METHODS = {method.name: method for method in (E2VID, E2VID_PLUS, FIRENET, FIRENET_PLUS, SSL_E2VID)}
