"""The run form of a deployment in a browser, in both UIs."""

from __future__ import annotations

import json
from typing import Any

from playwright.sync_api import Page, Route

from tests.browser.pressing import press
from tests.browser.schema_form import SchemaForm
from tests.browser.visiting import visit
from tests.serving import Served

MUCH_LATER = {
    "type": "SCHEDULED",
    "state_details": {"scheduled_time": "2100-01-01T00:00:00Z"},
}


class CampaignForm(SchemaForm):
    """The open run form of send-campaign, or of another flow."""

    @classmethod
    def of(
        cls, page: Page, served: Served, ui: str = "v2", flow: str = "send-campaign"
    ) -> CampaignForm:
        """Open the form of a flow's deployment."""
        visit(page, served.form_url(ui, served.deployment(flow)))
        return cls(page, ui)

    def fill_in(self, name: str, html: str = "<p>Hello {{ first_name }}</p>") -> None:
        """Fill in what every campaign has, but its routes."""
        self.fill(name, "Name")
        self.fill("examples/recipients.csv", "Recipients", "File")
        self.fill("News <news@example.com>", "Message", "Sender")
        self.fill("Hi {{ first_name }}", "Message", "Subject")
        self.fill(html, "Message", "HTML")

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
        return str(self._submit()["id"])

    def submit_for_later(self) -> dict[str, Any]:
        """Submit with a start in many years; the run's parameters, as the server has taken them.

        No process starts: for the forms of flows whose runs other tests look at.
        """

        def postpone(route: Route) -> None:
            asked = json.loads(route.request.post_data or "{}")
            route.continue_(post_data=json.dumps(asked | {"state": MUCH_LATER}))

        self.page.route("**/create_flow_run", postpone)
        run = self._submit()
        self.page.unroute("**/create_flow_run")
        assert run["state"]["state_details"]["scheduled_time"].startswith("2100")
        return dict(run["parameters"])

    def _submit(self) -> dict[str, Any]:
        button = self.page.get_by_role("button", name="Submit")
        return dict(press(self.page, button, "create_flow_run").json())
