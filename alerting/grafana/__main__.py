"""`python -m alerting.grafana [--docs URL] [--into DIRECTORY]`: write the boards as files that Grafana provisions."""

from __future__ import annotations

import argparse
from pathlib import Path

from alerting.grafana.boards import DOCS, write

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--docs", default=DOCS, help="the address that the site of `make docs` is served at")
    parser.add_argument("--into", type=Path, default=Path(__file__).parent / "provisioning" / "boards")
    options = parser.parse_args()
    for file in write(options.into, options.docs):
        print(file)
