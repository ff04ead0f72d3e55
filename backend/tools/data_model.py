"""Writes what the backend keeps in the database, out of the tables' definitions."""

from collections.abc import Iterator

from sqlalchemy import CheckConstraint, Column, Index, MetaData, Table, create_mock_engine
from sqlalchemy.schema import CreateIndex

DIALECT = create_mock_engine("postgresql+asyncpg://", lambda *_: None).dialect

# Where the user comes from is another program's business, but a reader wants to know.
PREFACE = """\
One PostgreSQL database holds two sets of tables, and each set has migrations of its own.

The backend's are described here; Alembic makes them, in `backend/app/migrations`, at the start of
the first replica that gets to it. The sign-in's (`user`, `session`, `account`, `verification`,
`jwks`) are Better Auth's; the frontend makes them, and Alembic neither reads nor changes them.

`user_id` is the `id` of Better Auth's `user`, as the sign-in's tokens say it (`sub`), or
MCP_DEFAULT_USER_ID. It is no foreign key: the sets know nothing of each other, and either can be
moved to a database of its own. Every query of the backend names a `user_id`.

## How it changes

Migrations only add, so that the version before still works on what they leave: it goes on serving
while an update rolls out, and it is what a rollback brings back.

- A new column may be null or has a default in the database; a new table is nobody else's to fill.
- What is no longer used is taken away one version later than its last use, in a migration of its
  own. A rename is an addition, a copy, and that.
- A replica that finds a revision of a newer version leaves the database as it is, logs `the
  database is newer than this version`, and serves. When a column that it needs is not there, it
  ends and names the column: then that version is too old for this database.
"""


def render(metadata: MetaData) -> str:
    """The whole page."""
    lines = [
        "# The data model",
        "",
        "<!-- Made by `uv run --frozen --directory backend python -m tools.documents`. -->",
        "",
        PREFACE,
    ]
    for table in metadata.sorted_tables:
        lines += _table(table)
    return "\n".join(lines).rstrip() + "\n"


def _table(table: Table) -> Iterator[str]:
    yield f"## {table.name}"
    yield ""
    if about := table.info.get("about"):
        yield about
        yield ""
    yield "| column | type | null | default | |"
    yield "| --- | --- | --- | --- | --- |"
    for column in table.columns:
        null = "yes" if column.nullable else ""
        kind = column.type.compile(DIALECT).lower()
        yield f"| `{column.name}` | {kind} | {null} | {_default(column)} | {_notes(column)} |"
    yield ""
    for statement in _rules(table):
        yield f"- `{statement}`"
    yield ""


def _default(column: Column[object]) -> str:
    if column.identity is not None:
        return "counted up"
    if column.server_default is not None:
        # "now()" or a literal, as it stands in the table's definition.
        return f"`{getattr(column.server_default, 'arg', '')}`"
    return ""


def _notes(column: Column[object]) -> str:
    notes = ["primary key"] if column.primary_key else []
    for key in column.foreign_keys:
        deleted = f", on delete {key.ondelete.lower()}" if key.ondelete else ""
        notes.append(f"references `{key.target_fullname}`{deleted}")
    return "; ".join(notes)


def _rules(table: Table) -> Iterator[str]:
    checks = [one for one in table.constraints if isinstance(one, CheckConstraint)]
    for check in sorted(checks, key=lambda one: str(one.name)):
        yield f"CHECK ({check.sqltext})"
    indexes: list[Index] = sorted(table.indexes, key=lambda one: str(one.name))
    for index in indexes:
        yield str(CreateIndex(index).compile(dialect=DIALECT))
