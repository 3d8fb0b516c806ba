"""docs/sdk.md says of every public method of ``langgraph-sdk`` what it can do here."""

import inspect
from pathlib import Path

from langgraph_sdk import get_client

TABLE = Path(__file__).parents[2] / "docs/sdk.md"
PARTS = ("assistants", "threads", "runs", "crons", "store")


def sdk_table() -> dict[str, str]:
    """The table: method -> ``works`` or ``501``."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in TABLE.read_text(encoding="utf-8").partition("\n## ")[0].splitlines()
        if line.startswith("| `") and "." in line.split("|")[1]
    ]
    return {method.strip("`"): here for method, here, *_ in rows}


async def test_every_method_of_the_client_is_decided() -> None:
    client = get_client(url="http://127.0.0.1:1", api_key=None)
    methods = {
        f"{part}.{name}"
        for part in PARTS
        for name, _ in inspect.getmembers(getattr(client, part), callable)
        if not name.startswith("_")
    }
    parts = {name for name in vars(client) if not name.startswith("_")}
    await client.aclose()
    assert parts == {*PARTS, "http"}
    assert sdk_table().keys() == methods
    assert set(sdk_table().values()) == {"works", "501"}
