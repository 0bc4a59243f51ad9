"""A browser for the command line's tests: follows a link, and writes down what it and others could see."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import httpx

with httpx.Client(follow_redirects=True, timeout=60) as client:
    answer = client.get(sys.argv[1])
arguments = [
    Path(f"/proc/{process}/cmdline").read_bytes().decode().split("\0")
    for process in (os.getpid(), os.getppid())
    if Path("/proc").exists()
]
seen = {
    "arguments": [sys.argv, *arguments],
    "bar": str(answer.url),
    "page": answer.text,
    "status": answer.status_code,
}
Path(os.environ["SEEN"]).write_text(json.dumps(seen))
