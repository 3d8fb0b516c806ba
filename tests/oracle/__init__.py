"""The same calls of ``langgraph-sdk`` against our stack and against ``langgraph dev``: ``make oracle``."""
