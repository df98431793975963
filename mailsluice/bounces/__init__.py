"""Mail that came back, or was refused for good, and complaints: what they say about an address."""

from mailsluice.bounces.bounce import Bounce, BounceKind
from mailsluice.bounces.kinds import kind_of

__all__ = [
    "Bounce",
    "BounceKind",
    "kind_of",
]
