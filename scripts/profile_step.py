"""Where the time of a training step goes, by operation:

    python scripts/profile_step.py [OVERRIDE]...      as of `bnrepro train`; data.root= names the images

On a GPU the plain step is profiled: a replayed graph is one launch, of the same kernels.
"""

import sys
import time

from torch.profiler import ProfilerActivity, profile

from bnrepro.bench.images import bench_images
from bnrepro.config.compose import compose_config
from bnrepro.training.process.device import device_name, prepare_device, wait_for
from bnrepro.training.session import Session
from bnrepro.training.speed.timing import at_standstill

STEPS = 50
ROWS = 25


def main(overrides: list[str]) -> None:
    config = at_standstill(compose_config(["experiment=cifar10_quick", "capture=false", *overrides]))
    device = prepare_device(config)
    session = Session.prepare(config, bench_images(config.data), device)
    trainer, size = session.trainer, session.trainer.sgd_batch_size
    x, y = next(trainer.feed.train_batches(session.table(0), [slice(0, size)]))

    def steps() -> float:
        start = time.perf_counter()
        for i in range(STEPS):
            trainer.step(x, y, i)
        wait_for(device)
        return 1e6 * (time.perf_counter() - start) / STEPS

    steps()
    plain = steps()
    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    with profile(activities=activities) as profiled:
        steps()
    print(f"{config.norm.name}, {config.model.name}, SGD batch {size}, {device_name(device)}")
    print(f"{plain:,.0f} µs per step without the profiler; below: {STEPS} steps")
    by = "self_cuda_time_total" if device.type == "cuda" else "self_cpu_time_total"
    print(profiled.key_averages().table(sort_by=by, row_limit=ROWS, max_name_column_width=45))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
