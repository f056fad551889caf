"""The package's logger: `logging.getLogger("onelook")`."""

import logging

__all__ = ["LOGGER"]

LOGGER = logging.getLogger("onelook")
LOGGER.addHandler(logging.NullHandler())
