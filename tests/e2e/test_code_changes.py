"""Functions run from source locally: a changed file is in the next invocation, without a deployment."""

from pathlib import Path

import httpx

from tests.e2e.conftest import RunningStack, own_code


async def test_a_code_change_is_picked_up_without_a_deployment(
    stack: RunningStack, http: httpx.AsyncClient, tmp_path: Path
) -> None:
    with own_code(stack, "api", ["Http"], tmp_path) as source:
        assert (await http.get("/ok")).json() == {"ok": True}
        app = source / "functions/api/http/app.py"
        text = app.read_text(encoding="utf-8")
        assert text.count('return {"ok": True}') == 1

        app.write_text(text.replace('return {"ok": True}', 'return {"ok": True, "changed": True}'), encoding="utf-8")

        assert (await http.get("/ok")).json() == {"ok": True, "changed": True}
