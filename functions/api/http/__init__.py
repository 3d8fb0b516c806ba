"""REST: FastAPI behind Mangum."""
