"""Stores: modes, crashes, two processes, keyrings."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import anyio
import keyring
import keyring.backend
import keyring.errors
import pytest

from kantata_client import OAuthError, UsageError
from kantata_client.oauth.app import Token
from kantata_client.oauth.stores import FileStore, KeyringStore, LockingStore, MemoryStore, TokenStore

TOKEN = Token("planted-access", "planted-refresh", expires_at=1.5, scopes=("api_only",))


def run(code: str, *arguments: str) -> subprocess.Popen[str]:
    """A Python process of its own."""
    return subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


class Keys(keyring.backend.KeyringBackend):
    """A keyring in memory."""

    priority = 1  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.kept: dict[tuple[str, str], str] = {}
        self.locked = False

    def get_password(self, service, username):
        self._open()
        return self.kept.get((service, username))

    def set_password(self, service, username, password):
        self._open()
        self.kept[service, username] = password

    def delete_password(self, service, username):
        self._open()
        if (service, username) not in self.kept:
            raise keyring.errors.PasswordDeleteError
        del self.kept[service, username]

    def _open(self) -> None:
        if self.locked:
            raise keyring.errors.KeyringLocked("planted-access is locked in")


@pytest.fixture
def keys() -> Keys:
    backend = Keys()
    keyring.set_keyring(backend)
    return backend


@pytest.mark.anyio
@pytest.mark.parametrize("kind", ["memory", "file", "keyring"])
async def test_tokens_are_saved_loaded_and_deleted(kind: str, tmp_path: Path, keys: Keys) -> None:
    stores: dict[str, TokenStore] = {
        "memory": MemoryStore(), "file": FileStore(tmp_path / "a" / "b"), "keyring": KeyringStore(),
    }  # fmt: skip
    store = stores[kind]
    assert await store.load("alice") is None
    await store.delete("alice")
    for key in ("alice", "ALICE", "a/../../é b", "x" * 300):
        await store.save(key, Token(f"token of {key}"))
    await store.save("alice", TOKEN)
    assert await store.load("alice") == TOKEN
    assert await store.load("ALICE") == Token("token of ALICE")
    assert await store.load("a/../../é b") == Token("token of a/../../é b")
    await store.delete("alice")
    assert await store.load("alice") is None
    assert "planted" not in repr(store)
    assert isinstance(store, LockingStore) == (kind == "file")


@pytest.mark.anyio
async def test_a_failing_keyring_is_reported(keys: Keys) -> None:
    keys.locked = True
    for call in (KeyringStore().load("a"), KeyringStore().save("a", TOKEN), KeyringStore().delete("a")):
        with pytest.raises(OAuthError, match="KeyringLocked") as caught:
            await call
        assert caught.value.__context__ is None
        assert "planted" not in str(caught.value)


def test_files_are_private_under_any_umask(tmp_path: Path) -> None:
    code = """
        import os, sys, anyio
        from kantata_client.oauth.stores import FileStore
        from kantata_client.oauth.app import Token
        os.umask(0o000)
        store = FileStore(sys.argv[1])
        anyio.run(store.save, "alice", Token("first"))
        anyio.run(store.save, "alice", Token("second"))
        async def lock():
            async with store.lock("alice"):
                pass
        anyio.run(lock)
    """
    process = run(code, str(tmp_path / "x" / "tokens"))
    output = process.communicate()[0]
    assert process.returncode == 0, output
    paths = [tmp_path / "x", *(tmp_path / "x").rglob("*")]
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in paths}
    assert len(modes) == 4
    for path in paths:
        assert modes[path.name] == (0o700 if path.is_dir() else 0o600), modes


@pytest.mark.parametrize("mode", [0o644, 0o640, 0o604, 0o602, 0o620])
def test_a_file_that_others_can_read_is_rejected(tmp_path: Path, mode: int) -> None:
    store = FileStore(tmp_path)
    anyio.run(store.save, "alice", TOKEN)
    store.path("alice").chmod(mode)
    with pytest.raises(OAuthError, match="other users") as caught:
        anyio.run(store.load, "alice")
    assert "planted" not in str(caught.value)
    anyio.run(store.save, "alice", TOKEN)
    assert anyio.run(store.load, "alice") == TOKEN


def test_a_directory_that_others_can_write_to_is_rejected(tmp_path: Path) -> None:
    tmp_path.chmod(0o777)
    with pytest.raises(OAuthError, match="chmod 700"):
        anyio.run(FileStore(tmp_path).save, "alice", TOKEN)
    assert list(tmp_path.iterdir()) == []


def test_symbolic_links_and_damaged_files_are_rejected(tmp_path: Path) -> None:
    store = FileStore(tmp_path / "t")
    anyio.run(store.save, "alice", TOKEN)
    for content in (b"{", b"[1]", b"{}", b"\xff\xfe"):
        store.path("alice").write_bytes(content)
        with pytest.raises(OAuthError, match="sign in again"):
            anyio.run(store.load, "alice")
    store.path("alice").unlink()
    (tmp_path / "other").touch(0o600)
    store.path("alice").symlink_to(tmp_path / "other")
    with pytest.raises(OAuthError, match="file of your own"):
        anyio.run(store.load, "alice")


WRITER = """
    import sys, anyio
    from kantata_client.oauth.stores import FileStore
    from kantata_client.oauth.app import Token
    async def main():
        store = FileStore(sys.argv[1])
        number = 0
        while True:
            number += 1
            token = sys.argv[2] + str(number)
            await store.save("alice", Token(token * 2000, token))
            if number == 1:
                print("started", flush=True)
    anyio.run(main)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL on this system")
def test_concurrent_writers_and_kills_leave_whole_tokens(tmp_path: Path) -> None:
    """Two processes write as fast as they can, readers see whole tokens only, and so after each kill."""
    store = FileStore(tmp_path)
    path = store.path("alice")
    seen = set()
    for round_ in range(6):
        writers = [run(WRITER, str(tmp_path), f"{name}{round_}-") for name in "ab"]
        for writer in writers:
            assert writer.stdout
            assert writer.stdout.readline() == "started\n"
        until = time.monotonic() + 0.15 + 0.013 * round_
        while time.monotonic() < until:
            seen.add(whole(anyio.run(store.load, "alice")))
        for writer in writers:
            writer.kill()
            writer.communicate()
        seen.add(whole(anyio.run(store.load, "alice")))
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(seen) > 12
    for left in tmp_path.glob(".*.part"):
        assert stat.S_IMODE(left.stat().st_mode) == 0o600
        os.utime(left, (0, 0))
    anyio.run(store.save, "alice", TOKEN)
    assert [path.name for path in tmp_path.iterdir()] == [path.name]


def whole(token: Token | None) -> str:
    assert token is not None
    assert token.access_token == (token.refresh_token or "") * 2000
    return token.refresh_token or ""


def test_a_kill_at_any_step_leaves_the_old_or_the_new_token(tmp_path: Path) -> None:
    """The process dies at each step of writing in turn, without any clean-up."""
    code = """
        import os, sys
        from pathlib import Path
        from kantata_client._http.tokens import Secret
        from kantata_client.oauth.private_files import write_private
        left = int(sys.argv[2])
        def trace(frame, event, argument):
            global left
            if frame.f_code.co_filename.endswith(("/private_files.py", "/atomic.py")):
                left -= event == "line"
                if left < 0:
                    os._exit(9)
                return trace
        sys.settrace(trace)
        write_private(Path(sys.argv[1]), Secret('{"access_token": "new", "refresh_token": "' + "n" * 100_000 +
        '"}'))
    """
    ended: set[tuple[int, str]] = set()
    for steps in range(1, 60):
        store = FileStore(
            tmp_path / str(steps)
        )  # what a killed process leaves would cost the next one more steps
        anyio.run(store.save, "alice", Token("old"))
        process = run(code, str(store.path("alice")), str(steps))
        process.communicate()
        status = process.returncode
        token = anyio.run(store.load, "alice")
        assert token in (Token("old"), Token("new", "n" * 100_000))
        ended.add((status, token.access_token))
        if status == 0:
            break
    assert ended == {(9, "old"), (9, "new"), (0, "new")}


REFRESHER = """
    import sys, anyio
    from kantata_client.oauth.app import Endpoints, OAuthApp
    from kantata_client.oauth.stores import FileStore, StoredToken
    from tests.oauth.independent import CLIENT, SECRET
    async def main():
        async with OAuthApp(CLIENT, SECRET, endpoints=Endpoints.at(sys.argv[2])) as app:
            print("ready", flush=True)
            sys.stdin.readline()
            print(await StoredToken(FileStore(sys.argv[1]), "alice", app=app).token() != "stale")
    anyio.run(main)
"""


def test_two_processes_renew_a_token_once(tmp_path: Path, independent) -> None:
    independent.validator.refresh["refresh-1"] = {"scopes": ["api_only"], "user": "alice"}
    independent.seconds = 0.2
    anyio.run(FileStore(tmp_path).save, "alice", Token("stale", "refresh-1", expires_at=0))
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(REFRESHER), str(tmp_path), independent.url],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            cwd=Path(__file__).parents[2],
        )
        for _ in range(3)
    ]  # fmt: skip
    for process in processes:
        assert process.stdout
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()
    assert [process.communicate()[0] for process in processes] == ["True\n"] * 3
    assert independent.refreshes == 1


def test_the_default_directory_belongs_to_the_user(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    assert FileStore().directory.is_relative_to(tmp_path)
    assert FileStore().directory.name == "tokens"


def test_missing_packages_are_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "platformdirs", None)
    monkeypatch.setitem(sys.modules, "keyring", None)
    with pytest.raises(UsageError, match=r"kantata-client\[oauth\]"):
        FileStore()
    with pytest.raises(UsageError, match=r"kantata-client\[keyring\]"):
        KeyringStore()
    assert FileStore(tmp_path).directory == tmp_path
