"""The campaign form in a browser, in both UIs."""

from __future__ import annotations

from tests.browser.pressing import press
from tests.browser.schema_form import SchemaForm


class CampaignForm(SchemaForm):
    """The open run form of send-campaign."""

    def add_route(self, connection: str, percent: str | None = None) -> None:
        """Add a row to the routes."""
        routes = self.field("Routes")
        row = routes.get_by_text("Percent (Optional)", exact=True).count()
        routes.get_by_role("button", name="Add item").click()
        self.choose(connection, "Routes", "Connection", nth=row)
        if percent is not None:
            self.fill(percent, "Routes", "Percent", nth=row)

    def submit(self) -> str:
        """Start the run; its id."""
        button = self.page.get_by_role("button", name="Submit")
        return str(press(self.page, button, "create_flow_run").json()["id"])
