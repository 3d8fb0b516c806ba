"""The supervisor of the local stack: boots, deploys, serves, and leaves nothing behind."""
