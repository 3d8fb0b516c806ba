"""What the user sees when something is wrong: one line that says what to do."""


class StackError(RuntimeError):
    """The stack cannot do what was asked; the message is one line and says what to do."""
