"""Groups of commands that say which one may have been meant."""

from __future__ import annotations

from difflib import get_close_matches

import click


class Suggesting(click.Group):
    """A group that names the commands nearest to one that it does not have."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command of a name, and what is left to read.

        Raises:
            click.UsageError: If there is no such command.
        """
        known = self.list_commands(ctx)
        if args[0] not in known and not args[0].startswith("-"):
            near = get_close_matches(args[0], known)
            hint = f"did you mean {' or '.join(near)}?" if near else f"known: {', '.join(known)}"
            ctx.fail(f"No such command {args[0][:40]!r}; {hint}")
        return super().resolve_command(ctx, args)
