"""`huntaze rotate-keys`: the last step but one of changing ENCRYPTION_KEYS."""

import click

from cli.context import services


@click.command()
def rotate_keys() -> None:
    """Encrypt every stored access key with the first of ENCRYPTION_KEYS.

    Safe while everything runs, and to repeat. Exit code 1 when a key cannot be opened."""
    done = services().rotation.run()
    click.echo(f"{done.renewed} encrypted anew, {done.current} were already")
    if done.unreadable:
        ids = ", ".join(map(str, done.unreadable))
        raise click.ClickException(
            f"no key of ENCRYPTION_KEYS opens those of connections {ids}: put the old key back into"
            " the list, or connect these accounts again"
        )
