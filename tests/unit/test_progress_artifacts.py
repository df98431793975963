"""The artifacts of progress: created once in a run, then updated."""

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import httpx
import pytest

from flows.support.progress import artifacts
from flows.support.progress.artifacts import Bar, ProgressArtifacts
from tests.unit.progress_feed import feed as feed


class Server:
    """The part of Prefect's API that has artifacts."""

    def __init__(self) -> None:
        self.calls: list[str] = []
        self.stored: dict[UUID, Any] = {}
        self.refuses = False

    async def __aenter__(self) -> Server:
        return self

    async def __aexit__(self, *_: object) -> None:
        pass

    async def read_artifacts(self, **_: object) -> list[Any]:
        self.calls.append("read")
        return list(self.stored.values())

    async def create_artifact(self, artifact: Any) -> Any:
        self._call(f"create {artifact.key}")
        artifact_id = uuid4()
        self.stored[artifact_id] = _Stored(artifact_id, artifact.key)
        return self.stored[artifact_id]

    async def update_artifact(self, artifact_id: UUID, artifact: Any) -> None:
        self._call(f"update {self.stored[artifact_id].key} {artifact.data:g}")

    def _call(self, call: str) -> None:
        if self.refuses:
            raise httpx.ConnectError("away")
        self.calls.append(call)


class _Stored:
    def __init__(self, artifact_id: UUID, key: str) -> None:
        self.id, self.key = artifact_id, key


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Server:
    server = Server()
    monkeypatch.setattr(artifacts, "get_client", lambda: server)
    return server


BARS: dict[str | None, Bar] = {None: Bar(5.0, "5 of 100"), "Röd 1": Bar(5.0, "5 of 100")}


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
async def test_artifacts_are_created_once_in_a_run_and_then_updated(server: Server) -> None:
    run_id = uuid4()
    mine = ProgressArtifacts(run_id, "Spring sale")
    await mine.show(BARS)
    await mine.show(BARS)  # nothing new: no call
    await mine.show({**BARS, None: Bar(6.0, "6 of 100")})
    await ProgressArtifacts(run_id, "Spring sale").show(
        BARS
    )  # the same run continues in another process
    assert server.calls == [
        "read",
        "create progress-spring-sale",
        "create progress-spring-sale--rod-1",
        "update progress-spring-sale 6",
        "read",
        "update progress-spring-sale 5",
        "update progress-spring-sale--rod-1 5",
    ]


@pytest.mark.filterwarnings("ignore:Artifact creation outside")
async def test_an_update_that_the_server_did_not_take_is_repeated(server: Server) -> None:
    mine = ProgressArtifacts(uuid4(), "spring")
    server.refuses = True
    with pytest.raises(httpx.ConnectError):
        await mine.show(BARS)
    server.refuses = False
    await mine.show(BARS)
    assert server.calls[-2:] == ["create progress-spring", "create progress-spring--rod-1"]
