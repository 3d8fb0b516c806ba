"""The agent loop: claims runs from the queue or the workflow and advances them."""
