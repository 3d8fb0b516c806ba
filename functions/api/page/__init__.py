"""The chat page's files: from the deployment's archive into the bucket that the edge serves."""
