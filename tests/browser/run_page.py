"""The page of a flow run in a browser (UI v2)."""

from __future__ import annotations

import re
from collections.abc import Iterable

from playwright.sync_api import Locator, Page, expect

from tests.browser.pressing import press
from tests.serving import Served


class RunPage:
    """The open page of a run: its state, its menu, what it wrote."""

    def __init__(self, page: Page, served: Served, run_id: str) -> None:
        self.page = page
        self._run_id = run_id
        page.goto(f"{served.url}/v2/runs/flow-run/{run_id}")

    def shows(self, state: str) -> None:
        """Wait until the page shows the run in this state."""
        badge = self.page.locator("main").get_by_text(state, exact=True).first
        expect(badge).to_be_visible(timeout=60_000)

    def pause(self) -> None:
        """What the UI calls Pause is a Suspend: the process ends."""
        self._choose("Pause")
        press(self.page, self._dialog_button("Pause Flow Run"), f"{self._run_id}/set_state")

    def resume(self) -> None:
        self._choose("Resume")
        press(self.page, self._dialog_button("Resume"), f"{self._run_id}/resume")

    def cancel(self) -> None:
        self._choose("Cancel")
        press(self.page, self._dialog_button("Cancel Flow Run"), f"{self._run_id}/set_state")

    def retry(self) -> None:
        self._choose("Retry")
        press(self.page, self._dialog_button("Retry"), f"{self._run_id}/set_state")

    def shows_subflows(self, campaign: str, connections: Iterable[str], state: str) -> None:
        """Wait until the page shows a subflow for each connection, all of them in this state."""
        rest = rf": [\d,]+ recipients of {re.escape(campaign)}$"
        names = [re.compile(f"^Send over {re.escape(one)}{rest}") for one in connections]
        panel = self.open_tab("Subflow Runs")
        for name in names:
            expect(panel.get_by_role("link", name=name)).to_be_visible()
        expect(panel.get_by_text(state, exact=True)).to_have_count(len(names), timeout=60_000)

    def open_report(self) -> None:
        """Follow the links to the report, from the tab of the run's artifacts."""
        self._open_artifact("[href*='/artifacts/key/campaign-']")

    def open_artifact(self, key: str) -> Locator:
        """Follow the links to an artifact, as soon as it is there; its page."""
        self._open_artifact(f"[href$='/artifacts/key/{key}']")
        return self.page.locator("main")

    def _open_artifact(self, link: str) -> None:
        self.open_tab("Artifacts").locator(f"a{link}").click()
        self.page.locator("a[href*='/artifacts/artifact/']").first.click()

    def open_tab(self, name: str) -> Locator:
        """Open one of the page's tabs; its contents."""
        self.page.get_by_role("tab", name=name).click()
        return self.page.get_by_role("tabpanel", name=name)

    def _choose(self, item: str) -> None:
        self.page.get_by_role("button", name="Open menu").click()
        self.page.get_by_role("menuitem", name=item, exact=True).click()

    def _dialog_button(self, name: str) -> Locator:
        dialog = self.page.get_by_role("dialog").or_(self.page.get_by_role("alertdialog"))
        return dialog.get_by_role("button", name=name, exact=True)
