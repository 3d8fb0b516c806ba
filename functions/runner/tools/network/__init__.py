"""HTTP to the public internet only: what a model or a user names must not reach what only this network can."""
