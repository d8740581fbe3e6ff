"""Projects and models."""

from modelog.cli.described import DETAILS, file_option, from_file
from modelog.cli.state import Noun
from modelog.cli.verbs import NARROWED, arg, opt, verb

projects = Noun(
    "projects",
    help="Boundaries of access and of policy.",
    commands=[
        verb("list", "registry.ListProjects", "All projects.", *NARROWED),
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
            "update",
            "registry.UpdateProject",
            'Change what people say about a project; an empty text ("") clears it.',
            arg("name", "project"),
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
        verb("list", "registry.ListModels", "The models of a project.", arg("parent", "project"), *NARROWED),
        verb("get", "registry.GetModel", "One model, with its aliases.", arg("name", "model")),
        verb(
            "create",
            "registry.CreateModel",
            "Create a model.",
            arg("parent", "project"),
            arg("model_id"),
            *DETAILS,
            opt("tags", "Label: key=value.", flag="--tag"),
            opt("origin", "Where it was before, an Origin as JSON; for importers."),
        ),
        verb(
            "update",
            "registry.UpdateModel",
            'Change what people say about a model; an empty text ("") clears it.',
            arg("name", "model"),
            *DETAILS,
            extra=(file_option("Fields of ModelDetails"),),
            prepare=from_file("details", DETAILS),
        ),
        verb("tag", "registry.SetTag", "Label a model.", arg("name", "model"), arg("key"), arg("value")),
        verb("untag", "registry.RemoveTag", "Take a label away.", arg("name", "model"), arg("key")),
        verb("retire", "registry.RetireModel", "Close a model for further versions.", arg("name", "model")),
    ],
)
