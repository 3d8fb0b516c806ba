"""How LocalStack itself is run: its environment, and the patches that keep it on the loopback interface."""
