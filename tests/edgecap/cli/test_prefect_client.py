"""Which Prefect server a command says that it uses."""

import json
import os
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

from deployments.local.processes import free_port
from deployments.local.running import RUNNING
from edgecap.cli.prefect_client import chosen_server, other_server


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    folder = tmp_path / ".edgecap"
    folder.mkdir()
    return folder


def test_a_server_that_the_environment_names(home, monkeypatch):
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example.net/api")
    assert chosen_server(home) == "Prefect server: http://prefect.example.net/api (PREFECT_API_URL)"


def test_the_server_of_a_setup_that_runs_here(home):
    word = {"api_url": "http://127.0.0.1:4200/api", "ui_url": "http://127.0.0.1:4200", "pid": os.getpid()}
    (home / RUNNING).write_text(json.dumps(word))
    assert chosen_server(home) == f"Prefect server: http://127.0.0.1:4200 (`edgecap up` in {home.parent})"


def test_no_server(home):
    assert chosen_server(home) == ""
    assert other_server(free_port()) == ""


@pytest.mark.parametrize(("said", "found"), [("true", True), ("<html>", False)])
def test_a_prefect_server_that_nothing_names_is_mentioned_and_not_used(home, said, found):
    class Health(BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200 if self.path == "/api/health" else 404)
            self.end_headers()
            self.wfile.write(said.encode())

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Health) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        port = server.server_address[1]
        hint = other_server(port)
        server.shutdown()
    assert hint.endswith(f"export PREFECT_API_URL=http://127.0.0.1:{port}/api" if found else "")
    assert bool(hint) is found
