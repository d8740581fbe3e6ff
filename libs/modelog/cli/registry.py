"""Projects, models and aliases."""

from modelog.cli.state import Noun
from modelog.cli.verbs import arg, opt, verb

_DETAILS = (
    opt("details.title", "For people."),
    opt("details.description", "What it is for."),
    opt("details.task", "Kind of problem, for example binary-classification."),
    opt("details.owners", "Who answers for it, users/ada.", flag="--owner"),
    opt("details.links", 'Documentation kept elsewhere: {"title": ..., "uri": ...}.', flag="--link"),
)

projects = Noun(
    "projects",
    help="Boundaries of access and of policy.",
    commands=[
        verb("list", "registry.ListProjects", "All projects."),
        verb(
            "get", "registry.GetProject", "One project, with its lifecycle, policy and roles.", arg("name", "project")
        ),
        verb(
            "create",
            "registry.CreateProject",
            "Create a project with the built-in lifecycle and no policy.",
            arg("project_id"),
            opt("title", "For people."),
            opt("description", "What belongs into it."),
        ),
        verb(
            "set-lifecycle",
            "registry.SetLifecycle",
            "Replace the stages of the project's versions by a Lifecycle as JSON.",
            arg("name", "project"),
            arg("lifecycle"),
        ),
        verb(
            "set-policy",
            "registry.SetPolicy",
            "Replace what versions must meet to move by a Policy as JSON.",
            arg("name", "project"),
            arg("policy"),
        ),
    ],
)

models = Noun(
    "models",
    help="Purposes, fulfilled by versions.",
    commands=[
        verb("list", "registry.ListModels", "The models of a project.", arg("parent", "project")),
        verb("get", "registry.GetModel", "One model, with its aliases.", arg("name", "model")),
        verb(
            "create",
            "registry.CreateModel",
            "Create a model.",
            arg("parent", "project"),
            arg("model_id"),
            *_DETAILS,
            opt("tags", "Label: key=value.", flag="--tag"),
            opt("origin", "Where it was before, an Origin as JSON; for importers."),
        ),
        verb(
            "update",
            "registry.UpdateModel",
            'Change what people say about a model; an empty text ("") clears it.',
            arg("name", "model"),
            *_DETAILS,
        ),
        verb("tag", "registry.SetTag", "Label a model.", arg("name", "model"), arg("key"), arg("value")),
        verb("untag", "registry.RemoveTag", "Take a label away.", arg("name", "model"), arg("key")),
        verb("retire", "registry.RetireModel", "Close a model for further versions.", arg("name", "model")),
    ],
)

aliases = Noun(
    "aliases",
    help="Movable pointers to versions. `models get` lists them.",
    commands=[
        verb(
            "assign",
            "registry.AssignAlias",
            "Point an alias to a version of the model.",
            arg("name", "model"),
            arg("alias"),
            arg("version", "version"),
        ),
        verb("remove", "registry.RemoveAlias", "Take an alias away.", arg("name", "model"), arg("alias")),
    ],
)
