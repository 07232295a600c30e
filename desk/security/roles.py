"""What people may do: a viewer reads, an analyst labels and marks, an admin changes models, accounts and settings."""

from __future__ import annotations

from typing import Literal, get_args

Role = Literal["viewer", "analyst", "admin"]
ROLES: tuple[Role, ...] = get_args(Role)
"""From the least on; each may do what those before it may."""


def may_act_as(role: Role, needed: Role) -> bool:
    """Whether somebody of `role` may do what takes `needed`."""
    return ROLES.index(role) >= ROLES.index(needed)


def lesser(one: Role, other: Role) -> Role:
    """The one that may do less."""
    return min(one, other, key=ROLES.index)
