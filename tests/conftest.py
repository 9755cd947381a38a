"""What every test shares. (PyAV's log capture stays off: its callback can deadlock with decoder threads.)

Set before any library is imported: nothing is fetched from a hub, and each test process keeps to one thread.
"""

from __future__ import annotations

import os

from hypothesis import HealthCheck, settings

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("TRANSFORMERS_NO_ADVISORY_WARNINGS", "1")
# A run tells the same each time it is made of the same code; `make test-all` tries new examples.
# How fast the machine is makes no test fail.
_PATIENT = {"deadline": None, "suppress_health_check": [HealthCheck.too_slow]}
settings.register_profile("steady", derandomize=True, **_PATIENT)
settings.register_profile("searching", derandomize=False, **_PATIENT)
settings.load_profile(os.environ.get("LONGSHOT_EXAMPLES", "steady"))
