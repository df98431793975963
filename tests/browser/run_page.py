"""The page of a flow run in a browser, in both UIs."""

from __future__ import annotations

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page, expect

from tests.browser.pressing import press
from tests.browser.visiting import visit
from tests.serving import Served


class RunPage:
    """The open page of a run: its state, its buttons, what it wrote."""

    def __init__(self, page: Page, served: Served, run_id: str, ui: str = "v2") -> None:
        self.page = page
        self._run_id = run_id
        self._ui = ui
        visit(page, f"{served.ui_url(ui)}/runs/flow-run/{run_id}")

    def shows(self, state: str) -> None:
        """Wait until the page shows the run in this state."""
        main = self.page.locator("main" if self._ui == "v2" else ".page-heading")
        expect(main.get_by_text(state, exact=True).first).to_be_visible()

    def suspend(self) -> None:
        """Called Pause in the newer UI: the process ends."""
        if self._ui == "v1":
            self._press_in_dialog("Suspend", "Suspend", "set_state")
        else:
            self._press_in_dialog("Pause", "Pause Flow Run", "set_state")

    def resume(self) -> None:
        self._press_in_dialog("Resume", "Resume", "resume")

    def cancel(self) -> None:
        self._press_in_dialog("Cancel", "Cancel Flow Run", "set_state")

    def retry(self) -> None:
        self._press_in_dialog("Retry", "Retry", "set_state")

    def shows_subflows(self, campaign: str, connections: Iterable[str], state: str) -> None:
        """Wait until the page shows a subflow for each connection, all of them in this state."""
        rest = rf": [\d,]+ recipients of {re.escape(campaign)}$"
        names = [re.compile(f"^Send over {re.escape(one)}{rest}") for one in connections]
        panel = self.open_tab("Subflow Runs")
        for name in names:
            expect(panel.get_by_role("link", name=name)).to_be_visible()
        expect(panel.get_by_text(state, exact=True)).to_have_count(len(names))

    def open_artifact(self, key: str) -> None:
        """Open the newest artifact of a key that the run has written."""
        if self._ui == "v1":
            self.page.get_by_text("Artifacts", exact=True).last.click()
        else:
            self.open_tab("Artifacts")
        name = self.page.get_by_text(key, exact=True)
        self.page.locator("a[href*='/artifacts/artifact/']").filter(has=name).click()

    def open_tab(self, name: str) -> Locator:
        """Open one of the page's tabs; its contents."""
        self.page.get_by_role("tab", name=name).click()
        return self.page.get_by_role("tabpanel", name=name)

    def _press_in_dialog(self, name: str, confirmation: str, path: str) -> None:
        """Press a button of the run, and the one of the dialog that it opens."""
        if self._ui == "v1":
            self.page.get_by_role("button", name=name, exact=True).click()
            button = self.page.locator(".p-modal__footer button").first
        else:
            self.page.get_by_role("button", name="Open menu").click()
            self.page.get_by_role("menuitem", name=name, exact=True).click()
            dialog = self.page.get_by_role("dialog").or_(self.page.get_by_role("alertdialog"))
            button = dialog.get_by_role("button", name=confirmation, exact=True)
        press(self.page, button, f"{self._run_id}/{path}")


def open_artifact(page: Page, served: Served, ui: str, key: str) -> None:
    """Open the page of the only artifact of a key."""
    asked = {"artifacts": {"key": {"any_": [key]}}}
    (artifact,) = served.api.post("/artifacts/filter", json=asked).raise_for_status().json()
    visit(page, f"{served.ui_url(ui)}/artifacts/artifact/{artifact['id']}")
