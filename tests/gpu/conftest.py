"""These need a CUDA device; where there is none they are not collected, and the README's table says so."""

import torch

collect_ignore_glob = [] if torch.cuda.is_available() else ["test_*.py"]
