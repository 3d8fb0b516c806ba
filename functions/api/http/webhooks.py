"""Routes of webhooks: what a receiver verifies them with."""

from fastapi import APIRouter
from pydantic import BaseModel

from functions.api.http.identity import Caller
from functions.api.webhooks import signing

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


class WebhookSecret(BaseModel):
    """``secret``: as Standard Webhooks' libraries take it."""

    secret: str


@router.get("/secret")
async def get_webhook_secret(caller: Caller) -> WebhookSecret:
    """The secret that your webhooks are signed with. It needs the scope `write`: whoever has it can forge them."""
    return WebhookSecret(secret=signing.shown(await signing.account_key(caller.account_id)))
