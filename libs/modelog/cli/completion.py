"""Completion scripts for shells."""

import click

from modelog.cli.state import Command


@click.command("completion", cls=Command)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@click.pass_context
def completion(ctx: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  source <(modelog completion bash)
    zsh:   source <(modelog completion zsh)
    fish:  modelog completion fish | source
    """
    from click.shell_completion import get_completion_class

    made = get_completion_class(shell)
    assert made is not None
    click.echo(made(ctx.find_root().command, {}, "modelog", "_MODELOG_COMPLETE").source())
