"""The `dali` feed shows the network the same images as the `torch` feed."""

import builtins
import importlib.util

import pytest
import torch
from photos import photo

from bnrepro.config.errors import UsageError
from bnrepro.data import load_data

CPU = torch.device("cpu")
needs_dali = pytest.mark.skipif(
    importlib.util.find_spec("nvidia.dali") is None, reason="NVIDIA DALI is not installed: bnrepro[dali]"
)


def joined(batches):
    return torch.cat([x for x, _ in batches])


@needs_dali
def test_its_batches_are_the_torch_feeds_within_rounding(write_tree, stream_config):
    """In units of one level of 255; decoders and resizers round differently."""
    root = write_tree(side=200)
    photo(150, 180).convert("L").save(root / "val/n00000001/0.JPEG")
    seen = []
    for name in ("torch", "dali"):
        config = stream_config(root, feed=name, crop_size=112, resize_size=128, jitter=0.0, lighting=0.0)
        train, test = load_data(config).feeds(config, CPU)
        table = train.table(0, 0)
        broken_off = train.train_batches(table, [slice(i, i + 1) for i in range(8)])
        next(broken_off)
        broken_off.close()
        seen.append(
            (joined(test.test_batches([slice(0, 6)])), joined(train.train_batches(table, [slice(0, 8)])))
        )
    for ours, theirs in zip(*seen, strict=True):
        levels = (ours - theirs).abs() * 0.226 * 255
        assert levels.mean() < 0.5
        assert levels.max() < 6


@needs_dali
def test_a_broken_file_is_named(write_tree, stream_config):
    root = write_tree(side=100)
    config = stream_config(root, feed="dali")
    _, test = load_data(config).feeds(config, CPU)
    path = root / "val/n00000002/1.JPEG"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(UsageError, match=r"val/n00000002/1.JPEG is not a readable image"):
        list(test.test_batches([slice(0, 6)]))


def test_without_dali_the_message_says_what_to_install(write_tree, stream_config, monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name.startswith("nvidia.dali"):
            raise ImportError("No module named 'nvidia.dali'")
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    config = stream_config(write_tree(), feed="dali")
    with pytest.raises(UsageError, match=r"install bnrepro\[dali\], or set data.stream.feed=torch"):
        load_data(config).feeds(config, CPU)
