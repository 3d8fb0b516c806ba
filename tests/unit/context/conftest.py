"""litellm without the network: its import would otherwise ask for a newer list of models."""

import os

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"
