"""The order of the steps, nothing else."""

import gc

# Prefect, which is loaded by now, lives as long as the process does. Each full pass of the garbage
# collector looked at its hundred thousand objects: tens of milliseconds, many times a run.
gc.freeze()
