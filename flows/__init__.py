"""The flows: one for each deployment, with the order of its steps."""

import gc

# Prefect is loaded by now, and lives as long as the process. Without this, each full pass of the
# garbage collector visits its hundred thousand objects: tens of milliseconds, many times a run.
gc.freeze()
# Loading the flows makes tens of thousands of objects that stay. By default, each 700 of them bring
# a pass for garbage: a tenth of the time that loading takes.
gc.set_threshold(10_000)
