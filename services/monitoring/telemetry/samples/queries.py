"""SQL over sampled rows, which facts name by their digest and which are kept for a time only."""

from datetime import datetime, timedelta

from kernel.postgres import Pool
from modelog.monitoring.v1 import types_pb2 as types
from services.monitoring.profile import digest_of


async def keep(pool: Pool, sample: types.RowSample, now: datetime, days: int) -> str:
    """Keeps a sample for good before the fact that names it is recorded, and returns its digest."""
    body = sample.SerializeToString(deterministic=True)
    digest = digest_of(body)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("set local synchronous_commit = on")
        await connection.execute(
            "insert into sample (digest, expires_at, body) values ($1, $2, $3) on conflict (digest)"
            " do update set expires_at = greatest(sample.expires_at, excluded.expires_at)",
            digest,
            now + timedelta(days=days),
            body,
        )
    return digest


async def load(pool: Pool, digest: str, now: datetime) -> types.RowSample | None:
    """None when it is no longer kept."""
    body = await pool.fetchval("select body from sample where digest = $1 and expires_at > $2", digest, now)
    return None if body is None else types.RowSample.FromString(body)


async def forget_expired(pool: Pool, now: datetime) -> None:
    await pool.execute("delete from sample where expires_at <= $1", now)
