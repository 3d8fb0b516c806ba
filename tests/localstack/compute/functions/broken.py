"""A module that cannot be imported."""

import a_module_that_does_not_exist


def handler(event, context):
    return a_module_that_does_not_exist
