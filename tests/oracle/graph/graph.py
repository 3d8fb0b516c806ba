"""The oracle's agent: the scripted model in a loop with one tool, ``ask``, which waits for somebody's answer."""

import os
from typing import Any

from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from langgraph.graph import START, MessagesState, StateGraph
from langgraph.prebuilt import ToolNode, tools_condition
from langgraph.types import interrupt


@tool
def ask(text: str) -> Any:
    """Ask the user."""
    return interrupt({"text": text})


_model = ChatOpenAI(
    model="scripted",
    base_url=os.environ["BENCH_MODEL_URL"] + "/v1",
    api_key="scripted",  # pyright: ignore[reportArgumentType]
    max_retries=0,
).bind_tools([ask])


async def agent(state: MessagesState) -> dict[str, Any]:
    """One call of the model."""
    return {"messages": [await _model.ainvoke(state["messages"])]}


_builder = StateGraph(MessagesState)
_builder.add_node("agent", agent)
_builder.add_node("tools", ToolNode([ask]))
_builder.add_edge(START, "agent")
_builder.add_conditional_edges("agent", tools_condition)
_builder.add_edge("tools", "agent")
graph = _builder.compile()
