"""Quiet media libraries: their own chatter on stderr is not a test result."""

from __future__ import annotations

import av.logging

av.logging.set_level(av.logging.PANIC)
