"""CDK app: one stack, one construct a concern.

jsii, the bridge between Python and the CDK, warns at every start that Node 20 is past its end of life. It works, Node
20 is what this project asks for, and the banner would bury what the commands have to say.
"""

import os

os.environ.setdefault("JSII_SILENCE_WARNING_END_OF_LIFE_NODE_VERSION", "20")
