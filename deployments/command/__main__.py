"""`python -m deployments.command`, the same as `mailsluice`."""

import sys

from deployments.command.run import main

sys.exit(main())
