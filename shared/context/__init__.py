"""What a model is given of a conversation: counted, compressed, cut to its budget, summarised as it grows.

Only the runner and the summarizer import this: counting needs litellm.
"""

from shared.context.manager import Context, ContextManager

__all__ = ["Context", "ContextManager"]
