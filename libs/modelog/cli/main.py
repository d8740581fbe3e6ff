"""The root of the command line. Imports click and nothing else: `modelog --help` has to come at once."""

import importlib
import sys
from collections.abc import Mapping, Sequence
from keyword import iskeyword
from typing import Any

import click

# Noun (or verb that needs none): the module that has it, and what it is for. What is not used is not loaded.
SECTIONS: Mapping[str, Mapping[str, tuple[str, str]]] = {
    "Models and their life": {
        "projects": ("registry", "Boundaries of access and of policy."),
        "models": ("registry", "Purposes, fulfilled by versions."),
        "versions": ("versions", "Trained artifacts: register, describe, evaluate, compare, retire."),
        "artifacts": ("artifacts", "Files of models, before they are registered."),
        "keys": ("provenance", "Keys whose signatures a project believes."),
        "evaluate": ("evaluate", "Measure predictions here, and record what came out."),
        "card": ("card", "The model card of a version, as a page or for other tools."),
        "stages": ("stages", "How far a version's life has come, and moving it on."),
        "reviews": ("stages", "Answers to a request to move a version on."),
        "aliases": ("aliases", "Movable pointers to versions: assign, swap, roll back."),
        "search": ("search", "Find models and versions by words and conditions."),
    },
    "As files": {
        "apply": ("declare", "Make projects, models, environments and monitors what files say."),
        "diff": ("declare", "What apply would change."),
        "export": ("declare", "A project and what lives in it as a file for apply."),
    },
    "Governance": {
        "policies": ("policies", "What versions must meet to move: templates, files, projects."),
        "lifecycles": ("policies", "The stages of a project's versions."),
        "findings": ("findings", "What reviewers found about versions."),
        "checklists": ("findings", "What a policy wants gone through, and the answers."),
    },
    "Coming from elsewhere": {
        "import": ("imports", "What was kept in another registry: MLflow."),
    },
    "Working together": {
        "inbox": ("feeds", "What waits for you."),
        "activity": ("feeds", "What happened to what you watch."),
        "comment": ("threads", "Say something about a model or a version, in a new thread."),
        "threads": ("threads", "What people say about models; answering and resolving."),
        "watch": ("feeds", "What you want to hear of."),
        "teams": ("feeds", "People who are spoken of by one name."),
        "webhooks": ("webhooks", "Facts sent to addresses outside."),
    },
    "Who may do what": {
        "roles": ("roles", "Who holds which role; granting, revoking, defining."),
        "accounts": ("roles", "Accounts for jobs, and who owns them."),
        "emergencies": ("roles", "Roles taken without being granted, and their reviews."),
        "can": ("access", "Whether somebody may do something, and why."),
        "access": ("access", "Who may do what, who was refused, and who read history."),
    },
    "Serving": {
        "environments": ("deployment", "Where models run."),
        "endpoints": ("deployment", "Stable addresses, with their traffic."),
        "rollouts": ("rollouts", "Changes of what an endpoint serves."),
        "serving": ("serving", "What ran where, at a moment or between two."),
        "deploy": ("deploy", "Let a version take over an endpoint, by short names, and watch it."),
    },
    "Watching": {
        "monitors": ("monitors", "What is watched on an endpoint, and what was seen."),
        "alerts": ("monitoring", "Episodes in which a check fails or a rule holds."),
        "silences": ("monitoring", "While one holds, nobody is notified of alerts."),
        "retrainings": ("retrainings", "Requests to train a version anew, as a queue."),
        "retirements": ("retrainings", "Proposals to retire versions that stay below their floor."),
        "outcomes": ("monitors", "What turned out to be true of predictions."),
    },
    "History and evidence": {
        "history": ("log", "What happened to a resource."),
        "why": ("causes", "The facts that led to what happened, as a tree."),
        "at": ("moments", "Any command that reads, as of a past moment."),
        "changes": ("moments", "What differs between two moments, over everything."),
        "state": ("moments", "Everything as of one moment, as files."),
        "replay": ("log", "The facts of the log from a revision on, and live."),
        "subscriptions": ("subscriptions", "Places in the log kept for groups of consumers."),
        "audit": ("audit", "Evidence packs, export, verify, checkpoints and proofs."),
        "records": ("archive", "Sealed records of retired versions."),
        "holds": ("archive", "Legal holds."),
        "erasures": ("erasures", "Free text of people, erased from beside the log."),
        "retention": ("retention", "How long records are kept; what expires, and what was erased."),
    },
    "Who you are": {
        "login": ("login", "Log in at an OpenID Connect provider."),
        "logout": ("login", "Forget a login."),
        "whoami": ("login", "Who the services take you for."),
        "token": ("login", "Print a token for scripts."),
    },
    "This machine": {
        "status": ("status", "How the services are doing."),
        "up": ("suite", "Run the whole suite here until Ctrl-C."),
        "demo": ("suite", "Play one model's whole life and audit it."),
        "restore": ("restoring", "Put the log back from the archive's copy."),
        "completion": ("completion", "Print the completion script of a shell."),
    },
}
_COMMANDS = {name: entry for section in SECTIONS.values() for name, entry in section.items()}
# One of a noun may be meant by its singular; help speaks of the plural only.
_SINGULAR = {name.removesuffix("s"): name for name in ("environments", "endpoints", "rollouts", "versions", "models")}


class _Root(click.Group):
    """Knows all names and helps without loading what is behind them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        cmd_name = _SINGULAR.get(cmd_name, cmd_name)
        if cmd_name not in _COMMANDS:
            return None
        module = importlib.import_module(f"modelog.cli.{_COMMANDS[cmd_name][0]}")
        command: click.Command = getattr(module, f"{cmd_name}_" if iskeyword(cmd_name) else cmd_name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in commands.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        from click.shell_completion import CompletionItem

        names = [name for name in _COMMANDS if name.startswith(incomplete)]
        items = [CompletionItem(name, help=_COMMANDS[name][1]) for name in names]
        return items + click.Command.shell_complete(self, ctx, incomplete)


def _version(ctx: click.Context, _parameter: click.Parameter, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        from importlib.metadata import version  # Slow to import, and seldom asked for.

        click.echo(f"modelog {version('modelog')}")
        ctx.exit()


@click.command(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.option("--json", "as_json", is_flag=True, help="Print JSON for programs, with the fields of the protos.")
@click.option("--at", metavar="REVISION|TIME", default="", help="Read as of a revision, a time or a date (UTC).")
@click.option("--as", "actor", metavar="PRINCIPAL", default="", help="Who acts, for example users/ada.")
@click.option("--timeout", type=float, default=30.0, show_default=True, help="Seconds a call may take.")
@click.option("--debug", is_flag=True, help="Show where an unexpected failure happened.")
@click.option(
    "--version", is_flag=True, expose_value=False, is_eager=True, callback=_version, help="Print the version."
)
@click.pass_context
def cli(ctx: click.Context, as_json: bool, at: str, actor: str, timeout: float, debug: bool) -> None:
    """The life of every machine-learning model as a sequence of facts.

    The services are found in the nearest .modelog/suite.json (made by `modelog up`), or where MODELOG_REGISTRY,
    MODELOG_DEPLOYMENT, MODELOG_MONITORING, MODELOG_ARCHIVE or MODELOG_ADDRESS (for all of them) say.

    \b
    Exit status: 0 done, 1 failed, 2 wrong usage or request, 3 not found, 4 not allowed now or conflict,
    5 not permitted, 6 unavailable, 7 evidence does not hold, 130 interrupted.
    """
    from modelog.cli.state import State

    ctx.obj = State(ctx, as_json=as_json, at=at, actor=actor, timeout=timeout, debug=debug)


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line and returns its exit status; whatever goes wrong is told in a sentence on stderr."""
    state: list[bool] = ["--json" in (sys.argv[1:] if arguments is None else arguments)]
    try:
        done = cli.main(args=arguments, prog_name="modelog", standalone_mode=False)
    except Exception as error:
        from modelog.cli.failures import tell

        debug = "--debug" in (sys.argv[1:] if arguments is None else arguments)
        return tell(error, as_json=state[0], debug=debug)
    return done if isinstance(done, int) else 0


if __name__ == "__main__":
    sys.exit(main())
