"""From a method's type hints to the JSON Schema of its arguments, and from a model's arguments to checked values.

Checking is strict: a value must have the type that the schema names, so ``"123"`` is no integer and ``1`` no boolean,
and the model is told what is wrong. What JSON has no type for (dates, UUIDs, enums, tuples, sets) is read from its
usual JSON form, and a whole number written as ``5.0`` is an integer, as JSON Schema has it: some providers send all
numbers so. Whoever wants a laxer parameter says so in its hint: ``Annotated[int, BeforeValidator(int)]``.
"""

import inspect
import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, get_args, get_origin, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, ValidationError, create_model
from pydantic.errors import PydanticUserError

from functions.runner.tools import docstring
from functions.runner.tools.errors import InvalidArgumentsError, ToolDefinitionError
from functions.runner.tools.function import ToolContext
from functions.runner.tools.schema import simplified
from shared.domain import Json
from shared.scrubbing import scrubbed

# Wrong values are shown to the model up to this length, and so many of them.
_SHOWN_CHARACTERS = 200
_SHOWN_PROBLEMS = 10


@dataclass(frozen=True, kw_only=True)
class Signature:
    """What a method takes. ``context_parameter`` is the one that gets the :class:`ToolContext`, if it has one."""

    description: str
    parameters: Json
    context_parameter: str | None
    _names: tuple[str, ...]
    _model: type[BaseModel]

    def check(self, arguments: Json) -> dict[str, Any]:
        """The values to call the method with.

        Raises:
            InvalidArgumentsError: its message tells the model what is wrong, and what is allowed.
        """
        try:
            text = json.dumps(_whole_numbers(arguments))
            checked = self._model.model_validate_json(text, strict=True)
        except ValidationError as error:
            raise InvalidArgumentsError(self._told(error)) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise InvalidArgumentsError(f"The arguments are not a JSON object: {error}.") from None
        values = checked.__dict__
        return {name: values[f"p{position}"] for position, name in enumerate(self._names)}

    def _told(self, error: ValidationError) -> str:
        problems: list[str] = []
        for problem in error.errors(include_url=False, include_context=False):
            path, kind = ".".join(map(str, problem["loc"])), problem["type"]
            if kind == "extra_forbidden" and len(problem["loc"]) == 1:
                problems.append(f"{path!r} is not a parameter (parameters: {', '.join(self._names) or 'none'})")
            elif kind == "missing":
                problems.append(f"{path!r} is required")
            elif kind == "json_invalid":
                problems.append(problem["msg"])
            else:
                given = json.dumps(problem["input"], default=repr, ensure_ascii=False)[:_SHOWN_CHARACTERS]
                problems.append(f"{path!r}: {problem['msg']}, not {given}")
        more = len(problems) - _SHOWN_PROBLEMS
        told = "; ".join(problems[:_SHOWN_PROBLEMS]) + (f"; and {more} more" if more > 0 else "")
        return f"The arguments are not valid, nothing was done: {told}. Correct them and call again."


def of(method: Callable[..., Any], *, where: str) -> Signature:
    """The signature of ``method``, whose first parameter is ``self``; ``where`` names it in errors.

    Raises:
        ToolDefinitionError: a parameter has no type hint or one without a schema, or the docstring does not fit.
    """
    hints = _hints(method, where)
    fields: dict[str, Any] = {}
    context_parameter: str | None = None
    names: list[str] = []
    taken = list(inspect.signature(method).parameters.values())[1:]
    documented = docstring.parse(method.__doc__, [parameter.name for parameter in taken])
    if not documented.description:
        raise ToolDefinitionError(f"{where} has no docstring: the model is told what the tool does by it")
    for parameter in taken:
        if parameter.kind not in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
            raise ToolDefinitionError(f"{where}: {parameter} has no place in a JSON object: use named parameters")
        hint = hints.get(parameter.name)
        if hint is None:
            raise ToolDefinitionError(f"{where}: parameter {parameter.name!r} has no type hint")
        if hint is ToolContext:
            context_parameter = parameter.name
            continue
        # Fields are called by position, with the parameter's name as alias: a parameter may be named as a method of
        # pydantic's models is.
        described = Annotated[hint, Field(description=documented.parameters.get(parameter.name) or _described(hint))]
        default = ... if parameter.default is parameter.empty else parameter.default
        fields[f"p{len(names)}"] = (described, Field(default, alias=parameter.name))
        names.append(parameter.name)
    unknown = [name for name in documented.parameters if name not in names and name != context_parameter]
    if unknown:
        raise ToolDefinitionError(f"{where}: the docstring describes {unknown[0]!r}, which is not a parameter")
    try:
        config = ConfigDict(extra="forbid", allow_inf_nan=False, arbitrary_types_allowed=False)
        model = create_model("Arguments", __config__=config, **fields)
        parameters = simplified(model.model_json_schema(by_alias=True))
    except (PydanticUserError, TypeError, ValueError) as error:
        raise ToolDefinitionError(
            f"{where}: no schema can be made of the type hints: {scrubbed(str(error))}"
        ) from error
    return Signature(
        description=documented.description,
        parameters={"type": "object", "properties": {}, **parameters},
        context_parameter=context_parameter,
        _names=tuple(names),
        _model=model,
    )


def _hints(method: Callable[..., Any], where: str) -> dict[str, Any]:
    try:
        return get_type_hints(method, include_extras=True)
    except (NameError, TypeError, AttributeError, SyntaxError) as error:
        raise ToolDefinitionError(f"{where}: a type hint cannot be resolved: {scrubbed(str(error))}") from error


def _described(hint: Any) -> str | None:
    """The description inside ``Annotated[..., Field(description=...)]``."""
    if get_origin(hint) is not Annotated:
        return None
    return next((said for extra in get_args(hint)[1:] if (said := getattr(extra, "description", None))), None)


def _whole_numbers(value: Any) -> Any:
    """``value`` with every ``5.0`` in it as ``5``."""
    match value:
        case float() if value.is_integer():
            return int(value)
        case dict():
            return {key: _whole_numbers(each) for key, each in value.items()}  # pyright: ignore[reportUnknownVariableType]
        case list():
            return [_whole_numbers(each) for each in value]  # pyright: ignore[reportUnknownVariableType]
        case _:
            return value
