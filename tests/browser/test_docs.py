"""The description of the API: rendered by a script that is served from here, and by no other."""

from playwright.async_api import expect

from tests.browser.conftest import Visitor


async def test_the_docs_ask_nobody_else(visitor: Visitor) -> None:
    page = visitor.page
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.goto(f"{visitor.stack.base_url}/docs")

    await expect(page.get_by_role("heading", name="Suna Serverless")).to_be_visible()
    create = page.locator(".opblock", has=page.get_by_text("/threads", exact=True)).first
    await create.locator(".opblock-summary-control").click()
    await expect(create.get_by_role("heading", name="Responses", exact=True)).to_be_visible()
    assert [url for url in asked if not url.startswith((visitor.stack.base_url, "data:"))] == []
    # No script but the page's own files; the fixture fails on whatever the policy has refused.
    policy = await page.locator("meta[http-equiv='Content-Security-Policy']").get_attribute("content")
    assert "script-src 'self'; style-src 'self'; img-src 'self' data:;" in str(policy)
    async with visitor.api() as api:
        assert (await api.get("/redoc")).status_code == 404
