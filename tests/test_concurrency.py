"""Doing several things at once: what ends the program comes out as it is, also on trio, which groups exceptions."""

from __future__ import annotations

import subprocess
import sys
import textwrap

import anyio
import anyio.lowlevel
import pytest

from kantata_client._concurrency import plainly, to_the_end

BACKENDS = ["asyncio", "trio"]


def ended(program: str, *arguments: str) -> str:
    """What a program prints; in a process of its own, since what ends a program would end the tests."""
    code = textwrap.dedent(program)
    process = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True, timeout=60
    )
    return process.stdout.strip()


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("kind", ["KeyboardInterrupt", "SystemExit"])
def test_keyboard_interrupt_and_system_exit_are_not_wrapped_in_groups(backend: str, kind: str) -> None:
    program = """
        import builtins, sys, anyio
        from kantata_client._concurrency import in_order
        kind = getattr(builtins, sys.argv[1])
        async def end():
            await anyio.sleep(0.01)
            raise kind
        try:
            anyio.run(in_order, [end, anyio.lowlevel.checkpoint, end], backend=sys.argv[2])
        except BaseException as error:
            print(type(error).__name__)
    """
    assert ended(program, kind, backend) == kind


@pytest.mark.parametrize("backend", BACKENDS)
def test_ctrl_c_ends_a_bulk_run(backend: str) -> None:
    program = """
        import sys, anyio
        from kantata_client.sandbox import Sandbox
        def token():
            raise KeyboardInterrupt
        async def main():
            async with Sandbox("empty").client() as kantata:
                await kantata.with_token(token).stories.delete_many([1, 2, 3])
        try:
            anyio.run(main, backend=sys.argv[1])
        except BaseException as error:
            print(type(error).__name__)
    """
    assert ended(program, backend) == "KeyboardInterrupt"


def test_other_exception_groups_are_unchanged() -> None:
    group = ExceptionGroup("two", [ValueError(), KeyError()])
    with pytest.raises(ExceptionGroup) as caught, plainly():
        raise group
    assert caught.value is group


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_shielded_call_completes_before_the_cancellation(backend: str) -> None:
    done: list[str] = []

    async def work() -> str:
        await anyio.sleep(0.05)
        done.append("work")
        return "result"

    async def main() -> None:
        assert await to_the_end(work) == "result"
        with anyio.move_on_after(0.01):
            await to_the_end(work)
            await anyio.lowlevel.checkpoint()
            done.append("never")
        assert done == ["work", "work"]
        with pytest.raises(ZeroDivisionError):
            await to_the_end(fail)

    async def fail() -> None:
        raise ZeroDivisionError

    anyio.run(main, backend=backend)
