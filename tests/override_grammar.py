"""Overrides that a user might type by mistake, and some that nobody would: for hypothesis."""

from hypothesis import strategies as st

GROUPS = ("data", "model", "norm", "protocol", "optimizer", "schedule", "launcher", "experiment")
KEYS = (
    *("seed", "batch_size", "epochs", "device", "threads", "precision", "micro_batch_size", "tensorboard"),
    *("optimizer.base_lr", "optimizer", "norm.eps", "norm.momentum", "norm.name", "model.zero_init_last"),
    *(
        "data.root",
        "data.augment",
        "data.train_subset",
        "data.stream.feed",
        "data.name",
        "schedule.milestones",
    ),
    *("evaluation.statistics", "evaluation", "sweep.seeds", "sweep.norms", "launcher.jobs", "launcher.name"),
)
NAMES = ("digits", "gn", "bn", "workers", "fixed_sgd", "step", "slurm", "cifar10_quick", "resnet20", "none")

signs = st.characters(codec=None)  # surrogates too: what bytes that are not UTF-8 become
texts = st.text(signs, max_size=12)
names = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.-]{0,8}", fullmatch=True)
keys = st.one_of(
    st.sampled_from(GROUPS),
    st.sampled_from(KEYS),
    st.builds("{}.{}".format, st.sampled_from(GROUPS), names),
    st.builds("{}@{}".format, st.sampled_from(GROUPS), names),
    st.builds("{}/{}".format, names, names),
    st.sampled_from(
        ("hydra.searchpath", "hydra/launcher", "hydra", "_self_", "defaults", "", ".", "a..b", "$")
    ),
    names,
    texts,
)
scalars = st.one_of(
    st.integers().map(str),
    st.integers(0, 5000).map(lambda digits: "9" * digits),
    st.floats().map(str),
    st.sampled_from(
        ("true", "False", "null", "NaN", "-inf", "1e400", "0x10", "1_000", "???", "auto", "cpu:", "")
    ),
    st.sampled_from(NAMES),
    names,
    texts,
    texts.map(lambda text: f"'{text}'"),
    texts.map(lambda text: f'"{text}"'),
    st.integers(200, 300).map(lambda length: "x" * length),
    st.sampled_from(
        ("${", "${data.base_lr}", "${oc.decode:'1'}", "${oc.env:HOME}", "${a", "$\\{x\\}", "\\", "'", '"')
    ),
    st.sampled_from(
        ("/etc/passwd", "../norm/bn", "a b ", "\x1b[31m", "a\nb", "a\tb", "été (2024)", "\x00", "‮x")
    ),
)


def _containers(values: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    several = st.lists(values, max_size=3).map(",".join)
    pairs = st.lists(st.builds("{}:{}".format, st.one_of(names, scalars), values), max_size=3).map(",".join)
    functions = st.sampled_from(
        ("choice", "range", "interval", "glob", "sort", "shuffle", "tag", "int", "str", "f")
    )
    return st.one_of(
        several.map("[{}]".format),
        pairs.map("{{{}}}".format),
        st.builds("{}({})".format, functions, several),
        several,
        values.map("[{}".format),
        values.map("{{{}".format),
    )


values = st.recursive(scalars, _containers, max_leaves=6)
plausible = st.one_of(
    st.builds("{}={}".format, st.sampled_from(("seed", "batch_size", "epochs", "threads")), st.integers()),
    st.builds(
        "{}={}".format, st.sampled_from(("optimizer.base_lr", "norm.eps", "data.base_lr")), st.floats()
    ),
    st.builds("data.root={}".format, st.one_of(texts, st.text(max_size=8).map("'{}'".format))),
    st.builds("sweep.seeds={}".format, st.lists(st.integers(0, 9), max_size=3)),
    st.builds("{}={}".format, st.sampled_from(GROUPS), st.sampled_from(NAMES)),
)
overrides = st.one_of(
    plausible,
    st.builds("{}{}={}".format, st.sampled_from(("", "", "", "", "+", "++", "~")), keys, values),
    st.builds("{}{}".format, st.sampled_from(("", "~", "+", "=")), keys),
    texts,
)
