"""What this runner can do, told to the API: it refuses what does not exist without importing tools or litellm."""

from functions.runner.tools.catalog import catalog
from shared.database import assistants, transaction
from shared.domain import Json
from shared.llm import Llm, canonical, known_models


def tools() -> list[Json]:
    """Every tool with its functions."""
    return [
        {
            "name": name,
            "functions": [
                {
                    "name": function.name,
                    "description": function.description,
                    "parameters": function.parameters,
                    "needs_approval": function.needs_approval,
                }
                for function in tool().functions()
            ],
        }
        for name, tool in sorted(catalog().tools.items())
    ]


async def publish(llm: Llm) -> Json:
    """Write the catalogue, where it differs from what is written. Returns how much is in it.

    Of models only what the stack serves: the API has no key, and cannot know it by itself. ``canonical``: the names of
    those that litellm lists without their provider.
    """
    told = tools()
    providers = await llm.providers()
    known = known_models(providers)
    models = {
        "models": known,
        "providers": sorted(providers),
        "canonical": {name: canonical(name) for name in known if canonical(name) != name},
        "default": canonical(llm.default_model),
    }
    async with transaction() as taken:
        await assistants.write_catalogue(taken, "tools", told)
        await assistants.write_catalogue(taken, "models", models)
    return {"Tools": len(told), "Models": len(models["models"])}
