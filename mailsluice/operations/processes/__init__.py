"""Send a campaign in several processes of one machine, supervised by its run."""

from mailsluice.operations.processes.layout import process_count
from mailsluice.operations.processes.processes import Processes, cores, processes_of

__all__ = ["Processes", "cores", "process_count", "processes_of"]
