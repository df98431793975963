"""`make serve` for real, driven through the Prefect API."""

from __future__ import annotations

from tests.campaign_processes import prefect, start
from tests.sending import sending
from tests.serving import save_connection, served

__all__ = ["prefect", "save_connection", "sending", "served", "start"]
