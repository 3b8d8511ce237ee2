"""A user would not find in a run directory what is promised, or lose what is there."""

import json

import pytest
import yaml
from tiny_runs import call, folder_overrides, image_folder, record, tiny_config, tiny_run

from bnrepro.config.errors import UsageError
from bnrepro.rundir.files import write_json
from bnrepro.rundir.result import read_result, result_head, write_result
from bnrepro.training.outcome import failed_result

RESULT_KEYS = {
    *("schema", "status", "norm", "batch_size", "seed", "protocol", "workers", "sgd_batch_size"),
    *("norm_batch_size", "model", "data", "epochs", "error", "last_errors", "train_error", "wall_seconds"),
    *("images_per_second", "peak_memory_bytes", "config_hash", "message"),
}


def test_a_run_directory_holds_its_record(tmp_path):
    result = tiny_run(tmp_path, "epochs=2", "evaluation.every=1", "tensorboard=true", overrides=["epochs=2"])
    written = {path.name for path in tmp_path.iterdir()}
    assert written == {
        *("config.yaml", "overrides.txt", "env.json", "metrics.jsonl", "tensorboard", "checkpoint.pt"),
        "result.json",
    }
    assert (tmp_path / "overrides.txt").read_text() == "epochs=2\n"
    assert yaml.safe_load((tmp_path / "config.yaml").read_text())["epochs"] == 2
    assert json.loads((tmp_path / "result.json").read_text()) == result
    assert set(result) >= RESULT_KEYS
    assert (result["status"], result["schema"], result["data"]) == ("completed", 1, "digits")
    environment = json.loads((tmp_path / "env.json").read_text())
    assert {"commit", "dirty", "versions", "device", "command"} <= set(environment)


def test_metrics_have_a_line_per_evaluation(tmp_path):
    tiny_run(tmp_path, "epochs=4", "evaluation.every=2", "schedule=step")
    lines = [json.loads(line) for line in (tmp_path / "metrics.jsonl").read_text().splitlines()]
    assert [(line["epoch"], line["step"]) for line in lines] == [(2, 16), (4, 32)]
    assert [set(line["error"]) for line in lines] == [{"running"}, {"running", "precise", "batch"}]
    assert all(line["lr"] == pytest.approx(0.8 * 16 / 256) for line in lines)
    assert all(0 <= line["train_error"] <= 100 for line in lines)


@pytest.mark.parametrize(
    ("overrides", "peak"),
    [
        (["batch_size=4"], 0.8 * 4 / 256),
        (["batch_size=4", "protocol=workers"], 0.8 * 32 / 256),
        (["batch_size=4", "protocol=fixed_sgd", "protocol.sgd_batch_size=64"], 0.8 * 64 / 256),
        (["batch_size=4", "optimizer.scaling=sqrt"], 0.8 / 8),
        (["batch_size=4", "optimizer.scaling=none"], 0.8),
        (["batch_size=4", "optimizer.base_lr=0.1"], 0.1 * 4 / 256),
    ],
)
def test_the_rate_that_is_trained_with_follows_the_sgd_batch(tmp_path, overrides, peak):
    tiny_run(tmp_path, *overrides, "schedule=step", "data.train_subset=64")
    line = json.loads((tmp_path / "metrics.jsonl").read_text())
    assert line["lr"] == pytest.approx(peak)


def test_seeds_give_different_runs_and_the_same_seed_the_same(tmp_path):
    for name, seed in (("a", 0), ("b", 0), ("c", 1)):
        tiny_run(tmp_path / name, f"seed={seed}")
    assert record(tmp_path / "a") == record(tmp_path / "b")
    assert record(tmp_path / "a")["metrics"][0]["loss"] != record(tmp_path / "c")["metrics"][0]["loss"]


def test_a_run_that_diverges_has_the_error_of_chance_and_names_the_step(tmp_path):
    result = tiny_run(tmp_path, "norm=none", "norm.skip_init=false", "optimizer.base_lr=1e12", "epochs=3")
    assert result["status"] == "diverged"
    assert result["error"] == {"running": 90.0}
    assert "at step " in result["message"]
    head = tiny_config("norm=none", "norm.skip_init=false", "optimizer.base_lr=1e12", "epochs=3")
    assert read_result(tmp_path, result_head(head)) == result


def test_a_batch_norm_that_diverges_has_chance_under_every_statistic(tmp_path):
    result = tiny_run(tmp_path, "norm=bn", "optimizer.base_lr=1e38", "epochs=3")
    assert result["status"] == "diverged"
    assert result["error"] == {"running": 90.0, "precise": 90.0, "batch": 90.0}


def test_weights_that_the_very_last_step_destroys_are_no_completed_run(tmp_path):
    """The loss of a step is from before its update: only this shows that the network is broken."""
    result = tiny_run(tmp_path, "norm=bn", "batch_size=128", "optimizer.base_lr=1e40")
    assert result["status"] == "diverged"
    assert result["message"] == "weights or running statistics are not finite at step 0 (epoch 1)"
    assert result["error"] == {"running": 90.0, "precise": 90.0, "batch": 90.0}
    assert (tmp_path / "metrics.jsonl").read_text() == ""


def test_a_diverged_run_is_over_and_a_failed_one_is_tried_again(tmp_path):
    diverging = ("norm=none", "norm.skip_init=false", "optimizer.base_lr=1e12")
    tiny_run(tmp_path / "diverged", *diverging)
    before = (tmp_path / "diverged" / "result.json").stat().st_mtime_ns
    assert tiny_run(tmp_path / "diverged", *diverging)["status"] == "diverged"
    assert (tmp_path / "diverged" / "result.json").stat().st_mtime_ns == before

    one_value = (
        *folder_overrides(image_folder(tmp_path / "data", size=4), tmp_path / "cache"),
        "batch_size=1",
    )
    tiny_run(tmp_path / "failed", *one_value)
    before = (tmp_path / "failed" / "result.json").stat().st_mtime_ns
    assert tiny_run(tmp_path / "failed", *one_value)["status"] == "failed"
    assert (tmp_path / "failed" / "result.json").stat().st_mtime_ns > before


def test_one_value_per_channel_fails_with_torchs_words(tmp_path):
    """4×4 images end as 1×1 maps: with a batch of one, batch norm has nothing to average over."""
    data = folder_overrides(image_folder(tmp_path / "data", size=4), tmp_path / "cache")
    result = tiny_run(tmp_path / "bn", *data, "norm=bn", "batch_size=1")
    assert result["status"] == "failed"
    assert "Expected more than 1 value per channel" in result["message"]
    assert result["error"] == {}
    assert set(result) >= RESULT_KEYS
    assert (result["workers"], result["sgd_batch_size"], result["norm_batch_size"]) == (1, 1, 1)
    assert result["data"] == "data (image folder)"
    assert (tmp_path / "bn" / "config.yaml").exists()
    assert tiny_run(tmp_path / "gn", *data, "norm=gn", "batch_size=1")["status"] == "completed"


@pytest.mark.parametrize(("norm", "norm_batch_size"), [("bn", 4), ("bn_sync", 32), ("gn", None)])
def test_a_cell_whose_process_died_still_has_its_row(norm, norm_batch_size):
    result = failed_result(tiny_config("protocol=workers", "batch_size=4", f"norm={norm}"), "it died")
    assert set(result) >= RESULT_KEYS
    sizes = (result["workers"], result["sgd_batch_size"], result["norm_batch_size"])
    assert sizes == (8, 32, norm_batch_size)


def test_a_cell_that_cannot_be_says_so_without_sizes():
    config = tiny_config("protocol=fixed_sgd", "batch_size=3")
    assert failed_result(config, "3 does not divide 256")["sgd_batch_size"] is None


@pytest.mark.parametrize("broken", [b"epochs: [1", b"- a list\n", b"", b"\xff\xfe"], ids=repr)
def test_a_broken_config_file_is_one_line(tmp_path, broken):
    tiny_run(tmp_path)
    (tmp_path / "config.yaml").write_bytes(broken)
    with pytest.raises(UsageError, match=r"config\.yaml: .*; without it .*; choose another --out") as refused:
        tiny_run(tmp_path)
    assert "\n" not in str(refused.value)
    assert (tmp_path / "result.json").exists()


def test_a_refused_call_leaves_a_failed_run_as_it_was(tmp_path):
    write_result(tmp_path, failed_result(tiny_config("batch_size=129"), "it died"))
    with pytest.raises(UsageError, match="more than the 128 training images"):
        tiny_run(tmp_path, "batch_size=129")
    assert [path.name for path in tmp_path.iterdir()] == ["result.json"]


def test_json_that_others_could_not_read_is_never_written(tmp_path):
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "result.json", {"error": {"running": float("nan")}})
    assert list(tmp_path.iterdir()) == []


def test_another_config_in_the_same_directory_is_refused_with_the_keys(tmp_path):
    tiny_run(tmp_path)
    before = record(tmp_path)
    with pytest.raises(UsageError, match=r"optimizer\.momentum: 0\.9 -> 0\.5; seed: 0 -> 1") as refused:
        tiny_run(tmp_path, "seed=1", "optimizer.momentum=0.5")
    assert "\n" not in str(refused.value)
    assert record(tmp_path) == before


def test_a_directory_where_nothing_was_trained_yet_may_take_another_config(tmp_path):
    """A typo that is refused must not claim the directory."""
    with pytest.raises(UsageError, match="more than the 128 training images"):
        tiny_run(tmp_path, "batch_size=129")
    assert tiny_run(tmp_path)["status"] == "completed"


def test_what_cannot_change_a_number_may_change(tmp_path):
    first = tiny_run(tmp_path)
    again = tiny_run(tmp_path, "tensorboard=true", "checkpoint.every_minutes=5", "sweep.seeds=[1]")
    assert again == first


def test_bf16_on_the_cpu_is_refused_with_what_to_add(tmp_path):
    """experiment=wu_he_2018 asks for it: who tries that on a laptop never wrote the key."""
    out = tmp_path / "run"
    ended = call("train", "experiment=wu_he_2018", f"data.root={tmp_path}", "device=cpu", "--out", str(out))
    assert ended.code == 2
    assert ended.err == (
        "bnrepro: precision=bf16: only on cuda, and the device is cpu; add precision=float32\n"
    )
    assert not (out / "config.yaml").exists()
