"""Certificates and proxies that the environment sets: what is wrong with them is found before anything is sent."""

from __future__ import annotations

import asyncio
import base64
import os
import socket
import ssl
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import anyio
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from kantata_client import (
    Kantata,
    KantataConnectionError,
    KantataTimeoutError,
    RetryPolicy,
    Timeouts,
    UnknownOutcomeError,
    UsageError,
)
from kantata_client._http import library
from kantata_client._http.environment import Trust, proxy_for
from tests.loopback import answer

SECRET = "planted-4711"
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def clean(monkeypatch):
    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def asked(monkeypatch):
    """What would have gone to the network: nothing may."""
    attempts = []

    def connect(self, address):
        attempts.append(address)
        raise AssertionError("a connection was made")

    monkeypatch.setattr(socket.socket, "connect", connect)
    return attempts


WRONG = {
    "SSL_CERT_FILE is missing": ("SSL_CERT_FILE", "/nowhere/ca.pem"),
    "SSL_CERT_FILE is no PEM": ("SSL_CERT_FILE", "pyproject.toml"),
    "SSL_CERT_FILE is empty": ("SSL_CERT_FILE", "/dev/null"),
    "SSL_CERT_FILE is a directory": ("SSL_CERT_FILE", "/"),
    "SSL_CERT_DIR is missing": ("SSL_CERT_DIR", "/nowhere"),
    "SSL_CERT_DIR is a file": ("SSL_CERT_DIR", "pyproject.toml"),
    "SSL_CERT_DIR has no directory": ("SSL_CERT_DIR", f"/nowhere{os.pathsep}pyproject.toml"),
    "SSL_CERT_DIR has no certificates": ("SSL_CERT_DIR", "docs"),
    "SSLKEYLOGFILE can't be written": ("SSLKEYLOGFILE", "/nowhere/keys"),
    "SSLKEYLOGFILE is a directory": ("SSLKEYLOGFILE", "docs"),
    "unknown scheme": ("HTTPS_PROXY", f"ftp://user:{SECRET}@x"),
    "old SOCKS": ("ALL_PROXY", f"socks4://user:{SECRET}@x:1080"),
    "no host": ("HTTPS_PROXY", "http://:3128"),
    "no number": ("HTTPS_PROXY", f"http://user:{SECRET}@proxy:port"),
    "a port that is none": ("HTTPS_PROXY", "http://proxy:99999"),
    "# in the password": ("HTTPS_PROXY", f"http://user:{SECRET}#x@proxy:3128"),
    "/ in the password": ("HTTPS_PROXY", f"http://user:{SECRET}/x@proxy:3128"),
    "? in the password": ("https_proxy", f"http://user:{SECRET}?x@proxy:3128"),
    "[ in the password": ("https_proxy", f"http://user:{SECRET}[x@proxy:3128"),
    "space in the password": ("all_proxy", f"http://user:{SECRET} x@proxy:3128"),
    "line break": ("all_proxy", f"http://user:{SECRET}\nx@proxy:3128"),
    "not ASCII": ("HTTPS_PROXY", f"http://user:{SECRET}ü@proxy:3128"),
    "no closing bracket": ("HTTPS_PROXY", "http://[::1:3128"),
}
READ_BY_HTTPX = {"SSLKEYLOGFILE"}
"""Variables that mean nothing to httpx2."""
KINDS = [
    kind
    for kind, (variable, _) in WRONG.items()
    if library.httpx.__name__ == "httpx" or variable not in READ_BY_HTTPX
]


@pytest.mark.anyio
@pytest.mark.parametrize("kind", KINDS)
async def test_a_misconfigured_environment_raises_a_usage_error_naming_the_variable(kind, monkeypatch, asked):
    variable, value = WRONG[kind]
    monkeypatch.setenv(variable, value)
    async with Kantata("token-1") as kantata:
        for call in (
            kantata.users.me,
            lambda: kantata.stories.create(workspace_id=1, title="x", story_type="task"),
        ):
            with pytest.raises(UsageError, match=rf"(?s)^{variable} is .*Nothing was sent") as caught:
                await call()
            assert SECRET not in str(caught.value)
            assert caught.value.__context__ is None
        rows = [{"workspace_id": 1, "title": str(number), "story_type": "task"} for number in range(650)]
        with pytest.raises(UsageError, match=rf"(?s)^{variable} is .*") as caught:
            await kantata.stories.create_many(rows)
        assert SECRET not in str(caught.value)
        with pytest.raises(UsageError, match=variable):
            [story async for story in kantata.stories.list()]
    assert asked == []


def test_a_socks_proxy_without_the_extra_raises_a_usage_error(monkeypatch):
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    monkeypatch.setitem(__import__("sys").modules, "socksio", None)
    with pytest.raises(UsageError, match=r"ALL_PROXY .*kantata-client\[socks\]"):
        asyncio.run(Kantata("x").users.me())


@pytest.mark.parametrize(
    ("environment", "variable"),
    [
        ({"HTTPS_PROXY": "http://a:1"}, "HTTPS_PROXY"),
        ({"https_proxy": "a:1"}, "https_proxy"),
        ({"ALL_PROXY": "socks5h://a:1"}, "ALL_PROXY"),
        ({"all_proxy": "https://a:1"}, "all_proxy"),
        ({"all_proxy": "http://b:1", "https_proxy": "http://a:1"}, "https_proxy"),
        ({"HTTPS_PROXY": "http://user:p%23w@a:1/"}, "HTTPS_PROXY"),
        ({"http_proxy": "http://a:1"}, None),
        ({"https_proxy": ""}, None),
    ],
)
def test_proxy_variables_are_read_in_order_of_precedence(monkeypatch, environment, variable):
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    proxy = proxy_for("https", "api.mavenlink.com", None)
    assert (proxy and proxy.variable) == variable
    assert proxy is None or "a:1" in proxy.url
    assert "p%23w" not in repr(proxy)


BYPASSED = [
    ("*", "api.example.com", None),
    ("example.com", "api.example.com", None),
    ("example.com", "example.com", None),
    (".example.com", "api.example.com", None),
    ("*.example.com", "api.example.com", None),
    ("*.EXAMPLE.com", "Api.Example.Com", None),
    ("other, *.example.com ,x", "api.example.com", None),
    ("example.com.", "api.example.com", None),
    ("api.example.com:443", "api.example.com", None),
    ("api.example.com:8443", "api.example.com", 8443),
    ("*.example.com:8443", "api.example.com", 8443),
    ("10.0.0.0/8", "10.1.2.3", None),
    ("10.1.2.3/8", "10.200.0.1", None),
    ("10.1.2.3", "10.1.2.3", None),
    ("10.1.2.3:443", "10.1.2.3", 443),
    ("[::1]", "::1", None),
    ("::1", "::1", None),
    ("[::1]:8443", "::1", 8443),
    ("0:0:0:0:0:0:0:1", "::1", None),
    ("fd00::/8", "fd00::1", None),
    ("[fd00::]/8", "fd00::1", None),
    ("[fd00::/8]:443", "fd00::1", None),
    ("10.0.0.0/8:443", "10.1.2.3", None),
    ("10.*", "10.1.2.3", None),
    ("10.1.*.*", "10.1.2.3", None),
    ("localhost example.com\tother", "api.example.com", None),
    ("https://api.example.com/", "api.example.com", None),
    ("api.example.com:", "api.example.com", None),
    ("*:8443", "api.example.com", 8443),
    ("bücher.example", "www.xn--bcher-kva.example", None),
]
PROXIED = [
    ("", "api.example.com", None),
    ("example.org", "api.example.com", None),
    ("ample.com", "api.example.com", None),
    ("*.example.com:8443", "api.example.com", None),
    ("api.example.com:443", "api.example.com", 8443),
    ("10.0.0.0/8", "11.0.0.1", None),
    ("10.0.0.0/99", "10.0.0.1", None),
    ("10.0.0.0/8", "api.example.com", None),
    ("[::1]:1", "::1", None),
    ("[::2]", "::1", None),
    (":::", "::1", None),
    ("[", "api.example.com", None),
    ("*.", "api.example.com", None),
    (".", "api.example.com", None),
    ("10.*", "110.1.2.3", None),
    ("10.*", "10.example.com", None),
    ("10.1.*", "10.11.2.3", None),
    ("api.*", "api.example.com", None),
    ("*:8443", "api.example.com", None),
    ("10.0.0.0/8:8443", "10.1.2.3", None),
    ("api.example.com;other", "api.example.com", None),
]


@pytest.mark.parametrize(("listed", "host", "port"), BYPASSED)
def test_no_proxy_excludes_matching_hosts(monkeypatch, listed, host, port):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", listed)
    assert proxy_for("https", host, port) is None


@pytest.mark.parametrize(("listed", "host", "port"), PROXIED)
def test_no_proxy_does_not_exclude_other_hosts(monkeypatch, listed, host, port):
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy:1")
    monkeypatch.setenv("NO_PROXY", listed)
    assert proxy_for("https", host, port) is not None


# Over real sockets: a TLS service, an HTTP proxy and a SOCKS proxy, each in threads


@pytest.fixture(scope="module")
def authority(tmp_path_factory):
    """A certificate of localhost that is its own authority: paths of certificate and key."""
    folder = tmp_path_factory.mktemp("tls")
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    (folder / "ca.pem").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "ca.pem", folder / "key.pem"


class Threaded:
    """A server whose connections are handled in threads."""

    def __init__(self, handle):
        self.handle, self.connections = handle, 0
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]

    def __enter__(self):
        self.thread = threading.Thread(target=self._accept, daemon=True)
        self.thread.start()
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()

    def _accept(self):
        while True:
            try:
                peer, _ = self.listener.accept()
            except OSError:
                return
            self.connections += 1
            threading.Thread(target=self._one, args=(peer,), daemon=True).start()

    def _one(self, peer):
        with peer, suppress(OSError):
            self.handle(peer)


ME = answer(200, b'{"count":1,"results":[{"key":"users","id":"1"}],"users":{"1":{"id":"1"}}}')


@pytest.fixture
def secured(authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority)

    def handle(peer):
        with context.wrap_socket(peer, server_side=True) as tls:
            data = b""
            while more := tls.recv(65536):
                data += more
                if b"\r\n\r\n" in data:
                    tls.sendall(ME)
                    data = b""

    with Threaded(handle) as server:
        yield server


@pytest.mark.anyio
async def test_ssl_cert_file_is_trusted(monkeypatch, authority, secured):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
        for _ in range(3):
            assert (await kantata.users.me()).id == "1"
    assert secured.connections == 1


@pytest.mark.anyio
async def test_an_untrusted_certificate_is_not_retried(secured):
    async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
        with pytest.raises(KantataConnectionError, match=r"does not trust") as caught:
            await kantata.users.me()
    assert caught.value.unsent
    assert secured.connections == 1


def test_ssl_cert_dir_may_name_several_directories(monkeypatch, tmp_path):
    (tmp_path / "0a1b2c3d.0").write_text("a certificate")
    monkeypatch.setenv("SSL_CERT_DIR", f"/nowhere{os.pathsep}{tmp_path}")
    context = ssl.create_default_context()
    assert Trust().context(lambda: context) is context


def test_certificates_are_loaded_once_for_all_hosts_and_loops(monkeypatch, secured, authority):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    made = []

    def make():
        made.append(1)
        return ssl.create_default_context(cafile=authority[0])

    trust = Trust()
    assert trust.context(make) is trust.context(make)
    assert made == [1]
    kantata = Kantata("x", base_url=f"https://localhost:{secured.port}")
    contexts = set()
    for _ in range(2):
        asyncio.run(kantata.users.me())
        contexts.add(kantata._transport._shared.trust._context)
    assert len(contexts) == 1


def relay(first, second):
    """Both ways, until one side ends."""

    def one_way(source, target):
        try:
            while data := source.recv(65536):
                target.sendall(data)
        except OSError:
            pass
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)

    thread = threading.Thread(target=one_way, args=(first, second), daemon=True)
    thread.start()
    one_way(second, first)
    thread.join()


def http_proxy(password):
    wanted = "basic " + base64.b64encode(f"user:{password}".encode()).decode().lower()

    def handle(peer):
        head = b""
        while b"\r\n\r\n" not in head:
            head += peer.recv(65536)
        if wanted not in head.decode().lower():
            peer.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n")
            return
        port = int(head.split(b" ")[1].rpartition(b":")[2])
        peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        with socket.create_connection(("127.0.0.1", port)) as target:
            relay(peer, target)

    return handle


def socks_proxy(peer):
    peer.recv(257)
    peer.sendall(b"\x05\x00")
    asked = peer.recv(512)
    port = int.from_bytes(asked[-2:], "big")
    peer.sendall(b"\x05\x00\x00\x01\x7f\x00\x00\x01" + port.to_bytes(2, "big"))
    with socket.create_connection(("127.0.0.1", port)) as target:
        relay(peer, target)


@pytest.mark.anyio
async def test_a_proxy_with_a_password_is_used(monkeypatch, authority, secured):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(http_proxy("p#w")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%23w@127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
            assert (await kantata.users.me()).id == "1"
        assert proxy.connections == 1
        monkeypatch.setenv("NO_PROXY", "localhost")
        async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
            assert (await kantata.users.me()).id == "1"
        assert proxy.connections == 1


@pytest.mark.anyio
async def test_no_leftover_response_reaches_the_next_request_through_a_proxy(monkeypatch, authority):
    """The server sends a second response to each request, which belongs to somebody else."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority)

    def answer_twice(peer):
        with context.wrap_socket(peer, server_side=True) as tls:
            data = b""
            while more := tls.recv(65536):
                data += more
                if b"\r\n\r\n" in data:
                    tls.sendall(ME + ME.replace(b'"1"', b'"2"'))
                    data = b""

    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(answer_twice) as server, Threaded(http_proxy("p")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p@127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url=f"https://localhost:{server.port}") as kantata:
            assert [(await kantata.users.me()).id for _ in range(3)] == ["1"] * 3
        assert proxy.connections == 3


@pytest.mark.anyio
async def test_a_rejected_proxy_password_raises_a_usage_error_without_retries(
    monkeypatch, authority, secured
):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(http_proxy("right")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
            for call in (
                kantata.users.me,
                lambda: kantata.stories.create(workspace_id=1, title="x", story_type="task"),
            ):
                with pytest.raises(UsageError, match=r"407.*HTTPS_PROXY.*Nothing was sent") as caught:
                    await call()
                assert SECRET not in str(caught.value)
        assert (proxy.connections, secured.connections) == (2, 0)


def create(kantata):
    return kantata.stories.create(workspace_id=1, title="x", story_type="task")


def head_of(peer):
    head = b""
    while b"\r\n\r\n" not in head and (data := peer.recv(65536)):
        head += data


def refusing(status):
    def handle(peer):
        head_of(peer)
        peer.sendall(b"HTTP/1.1 %d No\r\ncontent-length: 0\r\n\r\n" % status)

    return handle


def tunnel_to_nowhere(peer):
    """The tunnel is made, but it breaks before the TLS handshake."""
    head_of(peer)
    peer.sendall(b"HTTP/1.1 200 OK\r\n\r\n")


def not_http(peer):
    head_of(peer)
    peer.sendall(b"220 mail.example.com ESMTP\r\n")


@pytest.mark.parametrize("handle", [head_of, tunnel_to_nowhere, not_http, refusing(502)])
@pytest.mark.anyio
async def test_a_tunnel_that_fails_leaves_a_post_unsent(monkeypatch, authority, handle):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(handle) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        policy = RetryPolicy(retries=2, initial=0, maximum=0)
        async with Kantata("x", base_url="https://localhost:1", retries=policy) as kantata:
            with pytest.raises(KantataConnectionError, match="Nothing was carried out") as caught:
                await create(kantata)
            assert caught.value.unsent
        assert proxy.connections == 3


@pytest.mark.anyio
async def test_a_proxy_that_does_not_answer_leaves_a_post_unsent(monkeypatch, authority):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(lambda peer: (head_of(peer), peer.recv(1))) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        timeout = Timeouts(read=0.05)
        async with Kantata("x", base_url="https://localhost:1", retries=0, timeout=timeout) as kantata:
            with pytest.raises(KantataTimeoutError, match="Nothing was carried out") as caught:
                await create(kantata)
    assert caught.value.unsent


@pytest.mark.anyio
async def test_a_post_lost_behind_a_proxy_has_an_unknown_outcome(monkeypatch, authority):
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(*authority)

    def take_and_close(peer):
        with context.wrap_socket(peer, server_side=True) as tls:
            head_of(tls)

    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(take_and_close) as server, Threaded(http_proxy("p")) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p@127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url=f"https://localhost:{server.port}") as kantata:
            with pytest.raises(UnknownOutcomeError):
                await create(kantata)
        assert server.connections == 1


@pytest.mark.parametrize("status", [401, 403, 405])
@pytest.mark.anyio
async def test_a_host_that_the_proxy_forbids_is_not_retried(monkeypatch, authority, status):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(refusing(status)) as proxy:
        monkeypatch.setenv("HTTPS_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url="https://localhost:1") as kantata:
            with pytest.raises(KantataConnectionError, match=rf"the proxy: {status}.*NO_PROXY") as caught:
                await create(kantata)
        assert caught.value.unsent
        assert proxy.connections == 1


def without_a_method(peer):
    peer.recv(257)
    peer.sendall(b"\x05\xff")


def rejecting_the_password(peer):
    peer.recv(257)
    peer.sendall(b"\x05\x02")
    peer.recv(513)
    peer.sendall(b"\x01\x01")


def http_instead_of_socks(peer):
    peer.recv(257)
    peer.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize("handle", [without_a_method, rejecting_the_password, http_instead_of_socks])
@pytest.mark.anyio
async def test_a_socks_proxy_that_is_set_wrongly_raises_a_usage_error(monkeypatch, authority, handle):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(handle) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://user:{SECRET}@127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url="https://localhost:1") as kantata:
            with pytest.raises(UsageError, match=r"in ALL_PROXY\. Nothing was sent") as caught:
                await create(kantata)
        assert SECRET not in str(caught.value)
        assert proxy.connections == 1


@pytest.mark.anyio
async def test_an_unreachable_proxy_is_retried(monkeypatch):
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:{SECRET}@127.0.0.1:{reserved.getsockname()[1]}")
        async with Kantata("x", base_url="https://localhost:1", retries=0) as kantata:
            with pytest.raises(KantataConnectionError, match="proxy settings") as caught:
                await kantata.users.me()
    assert caught.value.unsent
    assert SECRET not in str(caught.value)


@pytest.mark.anyio
async def test_a_socks_proxy_is_used(monkeypatch, authority, secured):
    monkeypatch.setenv("SSL_CERT_FILE", str(authority[0]))
    with Threaded(socks_proxy) as proxy:
        monkeypatch.setenv("ALL_PROXY", f"socks5://127.0.0.1:{proxy.port}")
        async with Kantata("x", base_url=f"https://localhost:{secured.port}") as kantata:
            assert (await kantata.users.me()).id == "1"
        assert proxy.connections == 1


@pytest.mark.anyio
async def test_plain_http_to_loopback_bypasses_proxies(monkeypatch):
    async with anyio.create_task_group() as tasks:
        listener = await anyio.create_tcp_listener(local_host="127.0.0.1")

        async def handle(stream):
            async with stream:
                await stream.receive()
                await stream.send(ME)

        tasks.start_soon(listener.serve, handle)
        port = listener.extra(anyio.abc.SocketAttribute.local_port)
        monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
        monkeypatch.setenv("ALL_PROXY", "nonsense://")
        async with Kantata("x", base_url=f"http://127.0.0.1:{port}") as kantata:
            assert (await kantata.users.me()).id == "1"
        tasks.cancel_scope.cancel()
    await listener.aclose()
