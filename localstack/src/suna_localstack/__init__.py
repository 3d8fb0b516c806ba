"""LocalStack plugins that run the Suna stack on one machine, without Docker and without an account."""
