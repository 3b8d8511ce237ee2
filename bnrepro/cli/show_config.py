"""`bnrepro show-config`"""

from __future__ import annotations

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides


def show_config(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Print the resolved config of a run as YAML, each key with what it means.

    Example: bnrepro show-config experiment=digits norm=gn
    """
    from bnrepro.config.compose import comments_of, compose_config
    from bnrepro.config.convert import to_dict
    from bnrepro.config.to_yaml import to_yaml

    config = compose_config(overrides or [], config_dir)
    typer.echo(to_yaml(to_dict(config), comments_of(overrides or [], config_dir)), nl=False)
