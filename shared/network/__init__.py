"""Where this service may connect to on behalf of others: what they name must not reach what only this network can."""
