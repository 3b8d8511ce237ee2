"""`bnrepro show-config`"""

from __future__ import annotations

import typer

from bnrepro.cli.arguments import ConfigDir, Overrides


def show_config(overrides: Overrides = None, config_dir: ConfigDir = None) -> None:
    """Print the resolved config of a run, as YAML."""
    import yaml

    from bnrepro.config.compose import compose_config
    from bnrepro.config.convert import to_dict

    config = compose_config(overrides or [], config_dir)
    typer.echo(yaml.safe_dump(to_dict(config), sort_keys=False, allow_unicode=True), nl=False)
