"""`newstide roles`: accounts of the database that may do what their process does, and nothing else."""

from __future__ import annotations

import click

from core.settings import load_settings
from core.store.connection import connect
from core.store.roles import ROLES, make_roles
from newstide.stack.resources import database


@click.command()
def roles() -> None:
    """Make the database roles of least privilege, or set their rights right. As the owner of the schema."""
    with database(load_settings()) as settings, connect(settings, autocommit=True) as connection:
        made = make_roles(connection)
    for role, users in ROLES.items():
        click.echo(f"{role}: {users}{' (made)' if role in made else ''}")
    click.echo("next, for each process: CREATE ROLE name LOGIN PASSWORD '...' IN ROLE one_of_these")


COMMANDS = [roles]
