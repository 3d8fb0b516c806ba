"""CDK app: one stack, one construct a concern."""
