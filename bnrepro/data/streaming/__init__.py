"""Sets that are larger than memory: listed, then read and decoded while training."""
