"""Other orchestrators, each installed into a virtual environment of its own: their pins do not agree with ours.

`on_prefect.py` and `on_dagster.py` run inside those environments and import nothing of ours. Each gets the sizes as
JSON, and prints its rows, by the names of our columns, as the last line of its output.
"""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.benchmarks import environments

# Prefect 3.8 does not start on newer versions of FastAPI, though it permits them.
PEERS = {"prefect": ("prefect>=3.8,<4", "fastapi<0.150"), "dagster": ("dagster>=1.13,<2", "dagster-webserver>=1.13,<2")}
ROOT = Path(__file__).parents[3]
TIMEOUT_SECONDS = 3600


def measure(sizes: dict[str, int]) -> dict[str, dict[str, float]]:
    """The rows of all peers, each with its home in a folder that is gone afterwards."""
    rows: dict[str, dict[str, float]] = {}
    for name, requirements in PEERS.items():
        python = environments.ensure(name, *requirements)
        sys.stderr.write(f"Measuring {name} …\n")
        with tempfile.TemporaryDirectory() as home:
            done = subprocess.run(
                [python, str(Path(__file__).with_name(f"on_{name}.py")), json.dumps(sizes)],
                env={**os.environ, "PEER_HOME": home, "PYTHONPATH": str(ROOT)},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                timeout=TIMEOUT_SECONDS,
            )
        rows |= json.loads(done.stdout.splitlines()[-1])
    return rows
