"""What can be wrong with a tool before it is called, and why a call was refused."""

from shared.errors import SunaError


class ToolDefinitionError(SunaError):
    """A tool is not defined as it must be."""


class DuplicateToolError(SunaError):
    """A tool of this name is registered already."""


class UnknownToolError(SunaError):
    """There is no tool of this name."""


class CatalogError(SunaError):
    """A module of tools cannot be used."""


class InvalidArgumentsError(SunaError):
    """The arguments do not fit the tool's parameters. The message is for the model."""
