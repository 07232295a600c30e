"""What pages need to know of the settings."""

from __future__ import annotations

from http import HTTPStatus
from importlib.metadata import version
from typing import Annotated

from fastapi import APIRouter, Depends
from pydantic import BaseModel, Field

from core.budget import stated_budget
from desk.context import Desk, desk_of
from desk.problems import responses
from desk.security.identity import Viewer
from desk.security.roles import ROLES, Role

router = APIRouter(prefix="/settings", tags=["settings"], responses=responses(HTTPStatus.UNAUTHORIZED))

LANGUAGES = ("en", "zh")


class Task(BaseModel):
    name: str
    labels: list[str] = Field(description="In the order of the scores.")


class Taxonomy(BaseModel):
    tasks: list[Task]


class PublicSettings(BaseModel):
    languages: list[str] = Field(description="Languages of the interface.")
    roles: list[Role] = Field(description="From the one that may do least on.")
    version: str
    budget_per_week: float = Field(description="False pages a week that alerting may send, over all series.")
    lease_minutes: int = Field(description="How long a story to label is kept for one analyst.")
    evaluation_share: float = Field(description="Share of stories that are labelled without seeing the model's scores.")


@router.get("/taxonomy", summary="Tasks and their labels")
def read_taxonomy(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> Taxonomy:
    return Taxonomy(tasks=[Task(name=name, labels=list(labels)) for name, labels in desk.taxonomy.tasks.items()])


@router.get("/public", summary="Settings that every page may know")
def read_public(principal: Viewer, desk: Annotated[Desk, Depends(desk_of)]) -> PublicSettings:
    return PublicSettings(
        languages=list(LANGUAGES),
        roles=list(ROLES),
        version=version("newstide"),
        budget_per_week=stated_budget(desk.settings),
        lease_minutes=desk.settings.desk.lease_minutes,
        evaluation_share=desk.settings.desk.evaluation_share,
    )
