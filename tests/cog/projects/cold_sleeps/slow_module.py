"""Takes 0.3 s to import."""

import time

time.sleep(0.3)
FACTOR = 1
