"""How fast an account may ask: a rate and a burst, by its plan."""
