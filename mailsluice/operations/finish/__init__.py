"""Spread a campaign evenly until its finish time, and tell whether it will be reached.

The run of the campaign counts what is left of each connection, and stores the distance between two
messages that follows (`Usage.spread`). All processes that send get their starts from there, so the
pace is that of the connection, however many they are. Failures, deferrals, pauses, crashes and
moved recipients change what is left, and so the pace. Limits hold as ever: the pace only adds to
the wait for them.
"""

from mailsluice.operations.finish.checking import refuse_impossible
from mailsluice.operations.finish.watch import finishing

__all__ = ["finishing", "refuse_impossible"]
