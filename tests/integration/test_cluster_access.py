"""Who gets into a cluster of ours, and how."""

from wedsync.cluster import Server


async def test_the_service_user_is_the_owner_through_the_socket(cluster: Server) -> None:
    async with await cluster.target("wedsync_owner", "wedsync").connect() as connection:
        row = await (await connection.execute("select current_user::text")).fetchone()
    assert row == ("wedsync_owner",)
