"""Reading pages is light: it imports nothing that a monitor does not need."""

from __future__ import annotations

import subprocess
import sys
from importlib.util import find_spec

READS = r"""
import sys
from collectors.exposition import PageParser
parser = PageParser()
for page in (b'', b'a 1\nb{c="d"} NaN\n', b'a 1\nb{c="d"} nan\n', b'a 2 1000\nb{c="e"} nan\nx 5\n', b'x 6\na 2 2000\n'):
    parser.parse(page)
print("pandas" in sys.modules)
"""


def test_reading_pages_does_not_import_pandas_though_it_is_installed() -> None:
    assert find_spec("pandas") is not None
    told = subprocess.run([sys.executable, "-c", READS], capture_output=True, text=True, check=True)
    assert told.stdout == "False\n"
