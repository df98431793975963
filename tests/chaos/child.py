"""A process of a run that reports, and reads of moves, ten times as often as usual."""

from __future__ import annotations

from mailsluice.delivery import sender_run
from mailsluice.operations.processes.child import main

if __name__ == "__main__":
    sender_run._RENEW_SECONDS = 0.5
    main()
