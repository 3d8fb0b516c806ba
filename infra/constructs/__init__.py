"""One construct a concern; `infra.stack` puts them together."""
