"""Images that compress as photographs do."""

import numpy as np
from PIL import Image


def photo(height: int, width: int, seed: int = 0, grain: float = 9.0) -> Image.Image:
    """Smooth colours with some grain: compresses as a photograph does."""
    draw = np.random.default_rng(seed)
    small = Image.fromarray(draw.integers(40, 216, (6, 8, 3), dtype=np.uint8))
    smooth = np.asarray(small.resize((width, height), Image.Resampling.BICUBIC), dtype=np.float32)
    noisy = smooth + grain * draw.standard_normal((height, width, 3), dtype=np.float32)
    return Image.fromarray(np.clip(noisy, 0, 255).astype(np.uint8))
