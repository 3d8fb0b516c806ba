"""A module that cannot be imported."""

import a_module_that_does_not_exist  # pyright: ignore[reportMissingImports] - that is what it is for


def handler(event, context):
    return a_module_that_does_not_exist
