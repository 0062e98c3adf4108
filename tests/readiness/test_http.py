"""HTTP probes, asked about real HTTP servers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from summon_testcase.errors import InvalidArgument, PortInUse
from summon_testcase.readiness.http import HTTPProbe

from ..needs import certificate
from ..places import linux
from ..samples import PATIENCE
from .asked import IDLE, LISTENING, ME, both_ways, check, leased, look, occupied, running

SERVING = """
import http.server, ssl, sys
port, pem = int(sys.argv[1]), sys.argv[2:]
class Handler(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Handler.asked += 1
        status = int(self.path.split("/")[1])
        if status == 503 and Handler.asked > 1:
            status = 200
        if self.path.endswith("token") and self.headers["X-Token"] == "open":
            status = 200
        self.send_response(status)
        if status == 302:
            self.send_header("Location", "/500")
        self.send_header("Content-Length", "3")
        self.end_headers()
        self.wfile.write(b"ok\\n")
    do_HEAD = do_GET
    def log_message(self, *args):
        pass
server = http.server.HTTPServer(("127.0.0.1", port), Handler)
if pem:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*pem)
    server.socket = context.wrap_socket(server.socket, server_side=True)
print("serving", flush=True)
server.serve_forever()
"""


@contextmanager
def closing(probe: HTTPProbe) -> Iterator[HTTPProbe]:
    """The probe; its session is closed with the block."""
    try:
        check(probe)
        yield probe
    finally:
        probe.close()


@both_ways
def test_http_unavailable_then_ready(ask_kernel: bool) -> None:
    """A 503 is a refusal that says so, a 200 after it is ready."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/503"
        with closing(HTTPProbe(url, ask_kernel=ask_kernel)) as probe:
            assert look(probe, service) == f"HTTP 503 Service Unavailable from {url}"
            assert look(probe, service) is None


@both_ways
def test_http_nobody_listens(ask_kernel: bool) -> None:
    """Where nobody listens the refusal is that of TCP."""
    with leased() as port:
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/", ask_kernel=ask_kernel)) as probe:
            assert look(probe, ME) == f"connection refused by 127.0.0.1:{port}"
            assert occupied(probe, "web") is None


def test_http_redirect_is_an_answer() -> None:
    """A redirect is not followed: it counts as what it is."""
    with leased() as port, running(SERVING, port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/302")) as probe:
            assert look(probe, service) is None
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/302", status=200)) as probe:
            refusal = look(probe, service)
            assert refusal is not None
            assert refusal.startswith("HTTP 302 Found")


@pytest.mark.parametrize("status", [418, {200, 418}, range(400, 500), lambda code: code == 418])
def test_http_accepted_statuses(status: object) -> None:
    """A number, a collection, a range or a callable says what is accepted."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/"
        with closing(HTTPProbe(url + "418", status=status)) as probe:  # type: ignore[arg-type]
            assert look(probe, service) is None
        with closing(HTTPProbe(url + "599", status=status)) as probe:  # type: ignore[arg-type]
            assert look(probe, service) == f"HTTP 599 from {url}599"


def test_http_method_and_headers_are_sent() -> None:
    """Method and headers reach the service; the headers stay out of all words."""
    with leased() as port, running(SERVING, port) as (service, _):
        url = f"http://127.0.0.1:{port}/401/token"
        with closing(HTTPProbe(url, method="HEAD", headers={"X-Token": "open"})) as probe:
            assert look(probe, service) is None
            assert "open" not in repr(probe)
            assert probe.describe() == f"an accepted answer to HEAD {url}"
        with closing(HTTPProbe(url, headers={"X-Token": "shut"})) as probe:
            assert look(probe, service) == f"HTTP 401 Unauthorized from {url}"


def test_http_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """A proxy named by the environment is not asked."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1")
    monkeypatch.delenv("no_proxy", raising=False)
    with leased() as port, running(SERVING, port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/200")) as probe:
            assert look(probe, service) is None


def test_http_silence_is_a_refusal_in_time() -> None:
    """A server that listens but does not answer is refused after the time for an answer."""
    with leased() as port, running(LISTENING, "127.0.0.1", port) as (service, _):
        url = f"http://127.0.0.1:{port}/"
        with closing(HTTPProbe(url, request_timeout=0.5)) as probe:
            assert look(probe, service) == f"no answer within 0.5 s from {url}"
        with closing(HTTPProbe(url)) as probe:
            # on a busy machine this is too short a time to connect
            either = f"no answer within 0.05 s from {url}", f"no connection to {url} within 0.05 s"
            assert look(probe, service, left=0.0) in either


def test_http_is_just_asked() -> None:
    """A refusal that comes at once does not speak of 3e-05 s."""
    with leased() as port, running(LISTENING, "127.0.0.1", port) as (service, _):
        url = f"http://127.0.0.1:{port}/"
        with closing(HTTPProbe(url)) as probe:
            said = probe.look(service, PATIENCE)
            assert re.fullmatch(rf"no answer (yet|within 0\.\d+ s) from {url}", said or "")


def test_http_hang_up_is_a_refusal() -> None:
    """A server that closes the connection without an answer is refused in one line."""
    script = LISTENING.replace("sys.stdin.read()", "while True: sock.accept()[0].close()")
    with leased() as port, running(script, "127.0.0.1", port) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/")) as probe:
            refusal = look(probe, service)
    assert refusal is not None
    assert refusal.startswith(f"no answer from http://127.0.0.1:{port}/: ")
    assert "\n" not in refusal
    assert "HTTPConnectionPool" not in refusal


@linux
def test_http_stranger_is_named() -> None:
    """An answer by another process is no readiness."""
    with leased() as port, running(SERVING, port) as (stranger, _), running(IDLE) as (service, _):
        with closing(HTTPProbe(f"http://127.0.0.1:{port}/200")) as probe:
            with pytest.raises(PortInUse) as caught:
                look(probe, service)
            assert caught.value.owner_pid == stranger.pid
            error = occupied(probe, "web")
            assert error is not None
            assert error.owner_pid == stranger.pid


def test_http_self_signed_certificate(tmp_path: Path) -> None:
    """A self-signed certificate is refused, unless it is trusted or not looked at."""
    pem, key = certificate(tmp_path)
    with leased() as port, running(SERVING, port, pem, key) as (service, _):
        url = f"https://127.0.0.1:{port}/200"
        with closing(HTTPProbe(url, request_timeout=5)) as probe:
            refusal = look(probe, service)
        assert refusal is not None
        assert refusal.startswith(f"TLS failed with {url}: ")
        assert "certificate" in refusal
        assert "\n" not in refusal
        with closing(HTTPProbe(url, verify=False, request_timeout=5)) as probe:
            assert look(probe, service) is None
        with closing(HTTPProbe(url, verify=str(pem), request_timeout=5)) as probe:
            assert look(probe, service) is None


@pytest.mark.parametrize("url", ["127.0.0.1:80", "ftp://host/", "http:///path", "http://h:99999/"])
def test_http_impossible_url(url: str) -> None:
    """A URL that is none is a mistake that the message explains."""
    with pytest.raises(InvalidArgument, match="write it like"):
        HTTPProbe(url).check()


def test_http_password_is_not_shown() -> None:
    """User and password of a URL stay out of description and refusals."""
    with leased() as port:
        url = f"http://user:secret@127.0.0.1:{port}/"
        with closing(HTTPProbe(url, ask_kernel=False)) as probe:
            assert "secret" not in (look(probe, ME) or "secret")
            assert probe.describe() == f"an accepted answer to GET http://127.0.0.1:{port}/"


def test_http_import_is_late() -> None:
    """The modules of requests are loaded by the first look, not before."""
    script = """
import sys
from summon_testcase.readiness.http import HTTPProbe
HTTPProbe("http://127.0.0.1/").check()
print("requests" in sys.modules)
"""
    with running(script) as (_, line):
        assert line == "False"
