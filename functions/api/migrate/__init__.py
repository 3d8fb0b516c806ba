"""Migrations, run by the deployment."""
