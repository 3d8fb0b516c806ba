"""Your tools: one class in one file of this folder, and the catalog finds it.

.. code-block:: python

    # functions/runner/tools/custom/dice.py
    import random

    from functions.runner.tools import Tool, tool_function


    class Dice(Tool):
        @tool_function()
        async def roll_dice(self, sides: int = 6) -> int:
            \"\"\"Roll a die.

            Args:
                sides: how many sides it has.
            \"\"\"
            return random.randint(1, sides)

Its name in an assistant's tools is the class's in snake case: ``dice``. A module whose name begins with an underscore
is not looked at: it may hold what several tools share. More in ``docs/tools.md``.
"""
