"""The command `mailsluice`: send, plan and manage campaigns from a terminal.

Exit codes: 0 done; 1 refused or failed, with one line on stderr that says what to do; 2 the command
line is wrong; 3 recipients still wait, or a check found something wrong; 130 interrupted.
"""

from deployments.command.run import main

__all__ = ["main"]
