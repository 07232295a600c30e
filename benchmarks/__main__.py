"""`make bench`: every benchmark, one after the other. Options after `ARGS=` go to each of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    for script in sorted(Path(__file__).parent.glob("bench_*.py")):
        print(f"\n== {script.stem}", flush=True)
        ended = subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=False)
        if ended.returncode:
            sys.exit(ended.returncode)
