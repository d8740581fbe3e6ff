"""What decisions need to know beyond single resources."""

from kernel.errors import Unavailable
from kernel.postgres import Pool

_MOST_NAMED = 20


async def serving_endpoints(pool: Pool, version: str) -> list[str]:
    """Names of the endpoints that serve a version, at most 20."""
    return await _names(pool, "select endpoint from serving where version = $1 order by endpoint limit $2", version)


async def living_versions(pool: Pool, model: str) -> list[str]:
    """Names of a model's versions that are not retired, at most 20."""
    return await _names(pool, "select version from living where model = $1 order by version limit $2", model)


async def _names(pool: Pool, sql: str, name: str) -> list[str]:
    try:
        return [row[0] for row in await pool.fetch(sql, name, _MOST_NAMED)]
    except OSError as error:
        raise Unavailable("VIEWS_UNREACHABLE", f"the views cannot be read now, try again: {error}") from error
