"""The peers' agent: one node that streams from the scripted model, as their documentation writes one."""

import os
from typing import Any

from langchain_openai import ChatOpenAI
from langgraph.graph import END, START, MessagesState, StateGraph

_model = ChatOpenAI(
    model="scripted",
    base_url=os.environ["BENCH_MODEL_URL"] + "/v1",
    api_key="scripted",  # pyright: ignore[reportArgumentType]
)


async def answer(state: MessagesState) -> dict[str, Any]:
    """One call of the model."""
    return {"messages": [await _model.ainvoke(state["messages"])]}


_builder = StateGraph(MessagesState)
_builder.add_node("answer", answer)
_builder.add_edge(START, "answer")
_builder.add_edge("answer", END)
graph = _builder.compile()
