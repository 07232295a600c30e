"""`newstide desk`: the analysts' web desk, and who may use it."""

from __future__ import annotations

import signal
import threading
from types import FrameType

import click
from rich.table import Table

from core.errors import InputError
from core.settings import load_settings
from desk.security.accounts import Accounts
from desk.security.roles import ROLES
from desk.security.sessions import Sessions
from newstide.commands.option_conflicts import refuse_before
from newstide.commands.output import open_console
from newstide.stack.desk import desk_address, login_address
from newstide.stack.resources import amended, database_address, store

_LINK_MINUTES = 60


@click.group(invoke_without_command=True)
@click.option("--host", help="Address to listen on; `desk.host` if not given.")
@click.option("--port", type=click.IntRange(0, 65535), help="Port to listen on; `desk.port` if not given.")
@click.pass_context
def desk(context: click.Context, host: str | None, port: int | None) -> None:
    """Serve the web desk until stopped (SIGTERM, Ctrl-C), or manage its accounts."""
    refuse_before(context.invoked_subcommand)
    if context.invoked_subcommand is not None:
        return
    from desk.server import run_desk

    settings = load_settings()
    given = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    stop = threading.Event()

    def end(signum: int, frame: FrameType | None) -> None:
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, end)
    with database_address(amended(settings, desk=given)) as found:
        run_desk(found, stop, lambda address: click.echo(f"the desk is at {address}", err=True))


@desk.command("accounts")
def accounts_() -> None:
    """List the accounts."""
    with store(load_settings()) as engine:
        found = Accounts(engine).list()
    table = Table("name", "role", "login", "since (UTC)", "", box=None)
    for account in found:
        login = "password" if account.has_password else "link, proxy or OIDC"
        state = "" if account.disabled_at is None else "disabled"
        table.add_row(account.name, account.role, login, f"{account.created_at:%Y-%m-%d %H:%M}", state)
    open_console().print(table if found else "no accounts; add one: newstide desk add NAME --role analyst")


@desk.command("add")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), default="analyst", show_default=True, help="What the account may do.")
@click.option("--password/--no-password", "with_password", default=True, help="Whether to ask for a password.")
def add(name: str, role: str, with_password: bool) -> None:
    """Add an account called NAME, the analyst of its labels."""
    password = click.prompt("password", hide_input=True, confirmation_prompt=True) if with_password else None
    with store(load_settings()) as engine:
        if not Accounts(engine).add(name, role, password):
            raise InputError(f"there is an account {name!r} already; newstide desk change {name} changes it")
    click.echo(f"{name} may use the desk as {role}", err=True)


@desk.command("change")
@click.argument("name")
@click.option("--role", type=click.Choice(ROLES), help="What the account may do.")
@click.option("--password", "with_password", is_flag=True, help="Ask for a new password.")
@click.option("--disable/--enable", "disabled", default=None, help="Whether the account may be used.")
def change(name: str, role: str | None, with_password: bool, disabled: bool | None) -> None:
    """Change the account called NAME; that ends its sessions.

    Unless its role alone changes, its API tokens and login links end too.
    """
    password = click.prompt("password", hide_input=True, confirmation_prompt=True) if with_password else None
    with store(load_settings()) as engine:
        if not Accounts(engine).change(name, role=role, password=password, disabled=disabled):
            raise InputError(f"there is no account {name!r}; newstide desk accounts lists them")


@desk.command("link")
@click.argument("name")
def link(name: str) -> None:
    """Print a link that logs NAME in once, within an hour."""
    settings = load_settings()
    with store(settings) as engine:
        if Accounts(engine).find(name) is None:
            raise InputError(f"there is no account {name!r}; newstide desk accounts lists them")
        token = Sessions(engine, settings.desk.session_hours).make_link(name, _LINK_MINUTES)
    click.echo(login_address(desk_address(settings.desk, settings.desk.port), token))


COMMANDS = [desk]
