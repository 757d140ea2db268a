"""The short share of the fault runs: every role is killed once while it watches, on a real broker."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from faults.__main__ import LACKING
from tests.conftest import require

REPOSITORY = Path(__file__).parents[2]
LONG_S = 400.0


def test_every_role_is_killed_once_and_nothing_is_lost_or_told_twice(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "faults", "--short", "--json", str(tmp_path / "outcomes.json")]
    ran = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=LONG_S, check=False)
    require("kafka", ran.returncode != LACKING, ran.stdout.strip())
    assert ran.returncode == 0, ran.stdout + ran.stderr
    [outcome] = json.loads((tmp_path / "outcomes.json").read_text())
    counts = outcome["verdict"]
    assert (counts["lost"], counts["doubled"], outcome["broken"]) == (0, 0, [])
    assert counts["served"] > counts["in_hand"]
