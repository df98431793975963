"""The meaning of refusals, returned mail and complaints for an address."""

from mailsluice.bounces.bounce import Bounce, BounceKind
from mailsluice.bounces.kinds import kind_of

__all__ = [
    "Bounce",
    "BounceKind",
    "kind_of",
]
