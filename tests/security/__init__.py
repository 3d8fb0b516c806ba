"""Nobody gets in where they don't belong: every route and command, every kind of credential."""
