"""As much of W&B's server as its client needs to log in, to make a sweep and to run an agent: on this machine, for tests."""

import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

KEY = "0123456789" * 4
"""As long as an API key is."""


class Stub(ThreadingHTTPServer):
    """Gives an agent one run after another, each with the next of `values`; keeps what is logged."""

    daemon_threads = True

    def __init__(self, values: list[dict[str, Any]], command: list[str]):
        super().__init__(("127.0.0.1", 0), _Handler)
        self.values, self.given, self.command = values, 0, command
        self.asked: list[str] = []
        """Operations, in the order in which they came."""
        self.sweep: dict[str, Any] = {}
        self.streams: dict[str, dict[str, list[str]]] = {}
        """Lines of each file of each run, as they were streamed."""
        self.stopped: str | None = None
        """The run that is told to stop."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def summary(self, run: str) -> dict[str, Any]:
        """What a run came to."""
        return json.loads(self.streams[run]["wandb-summary.json"][-1])


@contextmanager
def serving(values: list[dict[str, Any]], command: list[str] | None = None) -> Iterator[Stub]:
    """A server that has runs of these values to give, of a sweep with such a command."""
    with Stub(values, command or []) as stub:
        thread = threading.Thread(target=stub.serve_forever)
        thread.start()
        try:
            yield stub
        finally:
            stub.shutdown()
            thread.join()


class _Handler(BaseHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        pass

    @property
    def stub(self) -> Stub:
        assert isinstance(self.server, Stub)
        return self.server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path.endswith("/file_stream"):
            self._say(self._streamed(json.loads(body)))
        elif self.path.endswith("/graphql"):
            self._say({"data": self._answered(json.loads(body))})
        else:  # what the client tells of itself
            self._say({})

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self._say({})

    def do_GET(self) -> None:
        self._say({})

    def _answered(self, body: dict[str, Any]) -> dict[str, Any]:
        words = re.search(r"(query|mutation)\s+(\w+)", body["query"])
        operation = words[2] if words else "unnamed"
        self.stub.asked.append(operation)
        answer = _ANSWERS.get(operation)
        return answer(self.stub, body.get("variables") or {}) if answer else {}

    def _streamed(self, body: dict[str, Any]) -> dict[str, Any]:
        files = self.stub.streams.setdefault(self.path.split("/")[-2], {})
        for name, told in (body.get("files") or {}).items():
            files.setdefault(name, []).extend(told["content"])
        return {}

    def _say(self, answer: dict[str, Any]) -> None:
        content = json.dumps(answer).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)


def _project(told: dict[str, Any]) -> dict[str, Any]:
    name = told.get("projectName") or told.get("project") or "evinr"
    return {"id": "p", "name": name, "entity": {"id": "e", "name": "me"}}


def _viewer(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    return {"viewer": {"id": "u", "entity": "me", "username": "me", "email": "", "flags": "{}", "teams": {"edges": []}}}


def _sweep(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    stub.sweep = told
    return {"upsertSweep": {"sweep": {"name": "abc", "project": _project(told)}, "configValidationWarnings": []}}


def _known_sweep(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    config = json.dumps({"method": "random", "command": stub.command})
    return {"project": {"sweep": {"id": "s", "name": "abc", "config": config, "runs": {"edges": []}}}}


def _agent(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    return {"createAgent": {"agent": {"id": "agent"}}}


def _heartbeat(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    running = [run for run, runs in json.loads(told["runState"]).items() if runs]
    commands = []
    if running:
        commands = [{"type": "stop", "run_id": running[0]}] if running[0] == stub.stopped else []
    elif stub.given < len(stub.values):
        args = {name: {"value": value} for name, value in stub.values[stub.given].items()}
        commands = [{"type": "run", "run_id": f"run{stub.given}", "program": None, "args": args}]
        stub.given += 1
    else:
        commands = [{"type": "exit"}]
    return {"agentHeartbeat": {"agent": {"id": "agent"}, "commands": json.dumps(commands)}}


def _run(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    name = told.get("name")
    bucket = {
        "id": f"id-{name}",
        "name": name,
        "displayName": name,
        "description": "",
        "config": "{}",
        "sweepName": "abc",
    }
    return {"upsertBucket": {"bucket": bucket | {"historyLineCount": 0, "project": _project(told)}, "inserted": True}}


def _files(stub: Stub, told: dict[str, Any]) -> dict[str, Any]:
    names = told.get("files") or []
    files = [{"name": name, "uploadUrl": f"{stub.url}/storage/{name}"} for name in names]
    return {"createRunFiles": {"runID": "id", "uploadHeaders": [], "files": files}}


_ANSWERS = {
    "Viewer": _viewer,
    "UpsertSweep": _sweep,
    "SweepWithRuns": _known_sweep,
    "CreateAgent": _agent,
    "Heartbeat": _heartbeat,
    "UpsertBucket": _run,
    "CreateRunFiles": _files,
}
