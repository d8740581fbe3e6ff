"""What decisions need to know beyond single resources."""

from kernel.postgres import Pool

_MOST_NAMED = 20


async def serving_endpoints(pool: Pool, version: str) -> list[str]:
    """Names of the endpoints that serve a version, at most 20."""
    sql = "select endpoint from serving where version = $1 order by endpoint limit $2"
    return [row[0] for row in await pool.fetch(sql, version, _MOST_NAMED)]


async def living_versions(pool: Pool, model: str) -> list[str]:
    """Names of a model's versions that are not retired, at most 20."""
    sql = (
        "select name from version where sort > $1 and sort < $2"
        " and not exists (select 1 from retired where retired.version = version.name) order by sort limit $3"
    )
    prefix = f"{model}/versions/"
    return [row[0] for row in await pool.fetch(sql, prefix, prefix[:-1] + "0", _MOST_NAMED)]
