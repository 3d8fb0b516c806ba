"""A scripted language model: an OpenAI-compatible server that does what the conversation tells it to (README.md)."""
