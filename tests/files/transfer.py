"""A process that transfers one file and prints how much memory that took; run by test_memory.py."""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path

import anyio

from kantata_client import Kantata


def peak() -> int:
    """The largest memory of this process so far, in bytes."""
    status = Path("/proc/self/status")
    if status.exists():  # ru_maxrss of a process begins with that of its parent
        [line] = [line for line in status.read_text().splitlines() if line.startswith("VmHWM:")]
        return int(line.split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)


async def main(what: str, url: str, token: str, path: Path, small: Path) -> None:
    async with Kantata(token, base_url=url) as kantata:
        # Everything that a transfer needs is loaded before.
        await kantata.attachments.upload(small, type="receipt", direct=True)
        await kantata.insights_report_exports.download_latest(1, to=small, interval=0.01)
        before, started = peak(), anyio.current_time()
        if what == "upload":
            attachment = await kantata.attachments.upload(path, type="receipt")
            size = attachment.filesize
        else:
            await kantata.insights_report_exports.download_latest(2, to=path, interval=0.01)
            size = (await anyio.Path(path).stat()).st_size
        seconds = anyio.current_time() - started
    sys.stdout.write(json.dumps({"size": size, "extra": peak() - before, "seconds": seconds}))


if __name__ == "__main__":
    what, url, token, path, small, backend = sys.argv[1:]
    anyio.run(main, what, url, token, Path(path), Path(small), backend=backend)
