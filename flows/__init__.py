"""The flows: one for each deployment, with the order of its steps."""

import gc

# Prefect is loaded by now, and lives as long as the process. Without this, each full pass of the
# garbage collector visits its hundred thousand objects: tens of milliseconds, many times a run.
gc.freeze()
