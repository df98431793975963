"""SMTP servers for tests: they record what they accept and misbehave on request.

In a thread: `with SmtpServer(faults={"ann": Fault(Stage.RCPT, b"550 5.1.1 no")}) as server`.
In a process: `python -m tests.smtpd --out accepted.tsv`. In both an address can carry its own
fault: `450-at-rcpt-once.17@example.com`, `drop-at-dot.3@example.com`; see `faults.fault_of`.
"""

from tests.smtpd.faults import DROP, HANG, Everybody, Fault, Stage
from tests.smtpd.recording import Received, most_in, most_in_a_second
from tests.smtpd.server import SmtpServer
from tests.smtpd.settings import Settings

__all__ = [
    "DROP",
    "HANG",
    "Everybody",
    "Fault",
    "Received",
    "Settings",
    "SmtpServer",
    "Stage",
    "most_in",
    "most_in_a_second",
]
