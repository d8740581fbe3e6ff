"""The roles of the views' database: `python -m suite.postgres_roles POSTGRES_URL FOLDER`, once for an installation.

POSTGRES_URL is a superuser's, whom no service knows. FOLDER holds a file with the password of each role in ROLES; who
may do what is written in deploy/postgres/rights.sql.
"""

import asyncio
import base64
import hashlib
import hmac
import secrets
import sys
from collections.abc import Mapping
from pathlib import Path

import asyncpg

SERVICES = ("registry", "deployment", "monitoring", "archive")
KINDS = ("owner", "projector", "reader")
ROLES = tuple(f"{service}_{kind}" for service in SERVICES for kind in KINDS)
AUDITOR = "modelog_auditor"
RIGHTS = Path(__file__).parents[2] / "deploy" / "postgres" / "rights.sql"
_ROUNDS = 4096
_LOCK = 7_306_002


async def grant(url: str, passwords: Mapping[str, str]) -> None:
    """Makes the roles, sets their passwords and applies the rights; `passwords` by role. Waits for nobody else's."""
    connection = await asyncpg.connect(url)
    try:
        async with connection.transaction():
            await connection.execute("select pg_advisory_xact_lock($1)", _LOCK)
            there = {row["rolname"] for row in await connection.fetch("select rolname from pg_roles")}
            if AUDITOR not in there:
                await connection.execute(f"create role {AUDITOR} nologin")
            for role in ROLES:
                if role not in there:
                    await connection.execute(f"create role {role}")
                await connection.execute(f"alter role {role} login password '{verifier(passwords[role])}'")
            await connection.execute(RIGHTS.read_text())
    finally:
        await connection.close()


def verifier(password: str) -> str:
    """What the server keeps instead of the password (RFC 5803), so that the password itself never gets to it."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ROUNDS)
    stored = hashlib.sha256(hmac.digest(salted, b"Client Key", "sha256")).digest()
    server = hmac.digest(salted, b"Server Key", "sha256")
    text = [base64.b64encode(part).decode() for part in (salt, stored, server)]
    return f"SCRAM-SHA-256${_ROUNDS}:{text[0]}${text[1]}:{text[2]}"


if __name__ == "__main__":
    folder = Path(sys.argv[2])
    asyncio.run(grant(sys.argv[1], {role: (folder / role).read_text().strip() for role in ROLES}))
