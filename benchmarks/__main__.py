"""`make bench`: the benchmarks of what serves, one after the other. Options after `ARGS=` go to each of them.

`bench_fewshot.py` and `bench_recipe.py` train, for a quarter of an hour and for most of one, and are run by themselves.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

if __name__ == "__main__":
    for name in ("bench_classifier", "bench_end_to_end"):
        script = Path(__file__).with_name(f"{name}.py")
        print(f"\n== {name}", flush=True)
        ended = subprocess.run([sys.executable, str(script), *sys.argv[1:]], check=False)
        if ended.returncode:
            sys.exit(ended.returncode)
