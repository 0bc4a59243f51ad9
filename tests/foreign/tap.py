"""Runs the Singer tap `tap-mavenlink` against another server: its address is in its code, not in its settings.

The interpreter of the tap's environment runs this: `python tap.py BASE_URL [arguments of the tap]`.
"""

from __future__ import annotations

import sys

import tap_mavenlink
from tap_mavenlink.streams.base import BaseStream

base_url = sys.argv.pop(1)
BaseStream.get_url = lambda stream: f"{base_url}{stream.path}"
tap_mavenlink.main()
