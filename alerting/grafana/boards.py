"""All boards, and the files that Grafana reads them from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from grafana_foundation_sdk.cog.encoder import JSONEncoder

from alerting.grafana import market_mood, models, pipeline, surges

DOCS = "https://docs.example.com/newstide"
BOARDS = (market_mood.board, surges.board, pipeline.board, models.board)


def files(docs: str = DOCS) -> dict[str, str]:
    """File name -> JSON of each board. `docs` is where the site of `make docs` is served."""
    made = [board().build(docs) for board in BOARDS]
    encoder = JSONEncoder(sort_keys=True, indent=1, ensure_ascii=False)
    return {f"{board.uid}.json": encoder.encode(board) + "\n" for board in made}


def write(folder: Path, docs: str = DOCS) -> Iterator[Path]:
    """Write all boards into `folder`, and yield their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, body in files(docs).items():
        (folder / name).write_text(body, encoding="utf-8")
        yield folder / name
