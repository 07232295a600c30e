"""Writes what the desk's API is to `openapi.json`, from which `npm run types` makes the types that the pages are
checked against."""

from __future__ import annotations

import json
from pathlib import Path

from sqlalchemy import create_engine

from core.settings import Settings
from desk.app import create_app

if __name__ == "__main__":
    app = create_app(Settings(), create_engine("postgresql+psycopg://"))
    Path(__file__).with_name("openapi.json").write_text(json.dumps(app.openapi()))
