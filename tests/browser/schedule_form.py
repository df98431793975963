"""The dialog that gives the deployment of send-campaign a schedule, in both UIs."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import Page

from tests.browser.campaign_form import CampaignForm
from tests.browser.pressing import press
from tests.browser.visiting import visit
from tests.serving import Served


class ScheduleForm(CampaignForm):
    """An open dialog: the schedule, and the campaign as its parameter."""

    def __init__(self, page: Page, served: Served, ui: str) -> None:
        visit(page, served.deployment_url(ui))
        page.get_by_role("button", name="Schedule", exact=True).click()
        dialog = page.locator(".p-modal") if ui == "v1" else page.get_by_role("dialog")
        super().__init__(page, ui, dialog)
        dialog.get_by_text("Cron", exact=True).click()
        if ui == "v1":
            dialog.locator(".p-select-button__control").last.press("ArrowDown")
            page.locator(".p-select-option").get_by_text("campaign", exact=True).click()
            page.keyboard.press("Escape")
        self._dialog = dialog

    def cron(self, expression: str) -> None:
        """When it runs, as cron says it, in UTC."""
        label = self._dialog.locator("xpath=.//label[.='Value']")
        value = label.locator("xpath=following::input[1]")
        value.fill(expression)
        value.press("Tab")

    def save(self) -> dict[str, Any]:
        """Save; the schedule as the server keeps it."""
        button = self._dialog.get_by_role("button", name="Save")
        (kept,) = press(self.page, button, "/schedules").json()
        return dict(kept)
