"""Rules about who may import whom: the floors of the house, from the generated code up to each `__main__`.

Every rule takes one file and yields sentences that start with the line. See "The house" in README.md.
"""

import ast
from collections.abc import Callable, Iterator
from functools import cache

from tests.house.tree import Module, imports, modules

Rule = Callable[[Module], Iterator[str]]

SERVICES = ("registry", "deployment", "monitoring", "archive")
PURE_ACCESS = ("matrix", "grants", "decision", "fold", "references", "own", "people", "review")
PURE_KERNEL = (
    *("errors", "names", "fold", "log", "cause", "wire", "pin", "limits", "hygiene"),
    *(
        "documents",
        "expressions",
        "fields",
        "filter_sql",
        "filters",
        "marks",
        "matching",
        "ordering",
        "page_tokens",
        "values",
    ),
)

# A pure module gets time, ids and everything from outside as arguments.
IMPURE = frozenset(
    "asyncio asyncpg contextvars grpc http logging nats opentelemetry os pathlib prometheus_client random secrets"
    " signal socket structlog subprocess tempfile threading time urllib uuid".split()
)
# Rooms of a service that stand above its domain.
SHELL = frozenset("__main__ controllers drivers projections queries reactions servicer settings".split())
RUNS_CODE_OF_OTHERS = frozenset("cloudpickle dill joblib marshal pickle shelve torch yaml".split())
# Where YAML is read all the same, and what of the library is used there: it makes nodes, and never objects of them.
READS_YAML = ("modelog.declare", "modelog.mlflow")
MAKES_NODES = frozenset(
    "MappingNode MarkedYAMLError SafeDumper SafeLoader ScalarNode SequenceNode YAMLError compose_all dump_all".split()
)
# Calls that run what is in a text, by their name or the end of their dotted name.
EVALUATES = frozenset("eval exec compile __import__".split())
RUNS_A_SHELL = frozenset("os.system os.popen create_subprocess_shell".split())
SERVER_ONLY = frozenset(
    "access asyncpg cel envoy jwt kernel nats numpy onnx onnxruntime opentelemetry orjson prometheus_client"
    " protovalidate services sklearn skl2onnx structlog suite testkit uvloop".split()
)


def first(dotted: str) -> str:
    return dotted.partition(".")[0]


def below(dotted: str, package: str) -> bool:
    return dotted == package or dotted.startswith(package + ".")


def services_meet_only_on_the_log(module: Module) -> Iterator[str]:
    """A service knows the facts of others, never their code and never their API; the console has only the API."""
    for line, name in imports(module) if module.service else ():
        parts = name.split(".")
        if parts[0] == "services" and len(parts) > 1 and parts[1] != module.service:
            yield f"{line}: service {module.service} imports {name}"
        foreign = parts[0] == "modelog" and len(parts) > 3 and parts[1] in SERVICES and parts[1] != module.service
        if foreign and "_service_pb2" in parts[3] and module.service != "console":
            yield f"{line}: service {module.service} imports {name}, by which it could call another service"


def kernel_names_no_service(module: Module) -> Iterator[str]:
    if module.package != "kernel":
        return
    for line, name in imports(module):
        if first(name) == "services" or any(below(name, f"modelog.{service}") for service in SERVICES):
            yield f"{line}: the kernel imports {name}"


def floors_hold(module: Module) -> Iterator[str]:
    """kernel < access < services, suite < testkit < tests; who stands lower knows nobody higher."""
    higher = {
        "kernel": ("access", "services", "suite", "testkit", "tests"),
        "access": ("services", "suite", "testkit", "tests"),
        "services": ("suite", "testkit", "tests"),
        "modelog": ("kernel", "services", "testkit", "tests"),
        "suite": ("testkit", "tests"),
        "testkit": ("tests",),
    }.get(module.package, ())
    for line, name in imports(module):
        if first(name) in higher:
            yield f"{line}: {module.package} imports {name}"


def is_pure(module: Module) -> bool:
    """The pure part of the kernel, every domain, and whatever of its service a domain imports, however far."""
    if module.package == "kernel":
        return module.path.stem in PURE_KERNEL
    if module.package == "access":
        return module.path.stem in PURE_ACCESS
    return module.is_domain or (bool(module.service) and module.dotted in below_domains())


@cache
def below_domains() -> frozenset[str]:
    """Modules of services that some domain needs, besides domains."""
    known = {module.dotted: module for module in modules() if module.service}
    found: set[str] = set()
    waiting = [module for module in known.values() if module.is_domain]
    while waiting:
        for _, name in imports(waiting.pop()):
            if name in known and name not in found and not known[name].path.name.startswith("__"):
                found.add(name)
                waiting.append(known[name])
    return frozenset(found)


def pure_modules_are_pure(module: Module) -> Iterator[str]:
    for line, name in imports(module) if is_pure(module) else ():
        parts = name.split(".")
        if parts[0] in IMPURE:
            yield f"{line}: a pure module imports {name}"
        in_kernel = parts[0] == "kernel" and len(parts) > 1 and parts[1] not in PURE_KERNEL
        in_access = parts[0] == "access" and len(parts) > 1 and parts[1] not in PURE_ACCESS
        in_service = parts[0] == "services" and len(parts) > 2 and parts[2] in SHELL
        if in_kernel or in_access or in_service or "_pb2_grpc" in name:
            yield f"{line}: a pure module imports {name}, which stands above it"


def logs_come_from_one_place(module: Module) -> Iterator[str]:
    """structlog brings rich along unless it is imported by kernel.logs."""
    for line, name in imports(module) if module.dotted != "kernel.logs" else ():
        if below(name, "structlog"):
            yield f"{line}: import structlog from kernel.logs"


def client_needs_no_server(module: Module) -> Iterator[str]:
    """`pip install modelog` brings no server library: what needs one is imported by the command that needs it.

    modelog.evaluate is such a part of the client: it stands on the extra of its name, and on numpy alone.
    """
    extra = {"numpy"} if below(module.dotted, "modelog.evaluate") else set()
    for line, name in imports(module, at_import_only=True) if module.package == "modelog" else ():
        if first(name) in SERVER_ONLY - extra:
            yield f"{line}: the client package imports {name} when it is imported"


def nothing_runs_code_of_others(module: Module) -> Iterator[str]:
    """A model is data: nothing that could run what a file contains is ever loaded by libs or services."""
    for line, name in imports(module) if module.path.parts[0] in ("libs", "services") else ():
        if first(name) in RUNS_CODE_OF_OTHERS and not (
            name == "yaml" and any(below(module.dotted, one) for one in READS_YAML)
        ):
            yield f"{line}: imports {name}"


def yaml_makes_no_objects(module: Module) -> Iterator[str]:
    """A YAML file may name what to call; whoever only composes nodes calls nothing of it."""
    for node in ast.walk(module.tree) if module.path.parts[0] in ("libs", "services") else ():
        match node:
            case ast.Attribute(value=ast.Name(id="yaml"), attr=name) if name not in MAKES_NODES:
                yield f"{node.lineno}: uses yaml.{name}"
            case ast.Import(names=names) if any(one.name == "yaml" and one.asname for one in names):
                yield f"{node.lineno}: imports yaml under another name"
            case ast.ImportFrom(module=str(name)) if first(name) == "yaml":
                yield f"{node.lineno}: imports from {name}"


def nothing_is_evaluated(module: Module) -> Iterator[str]:
    """No text becomes code or a shell's command, and no array of numpy's is unpickled."""
    for node in ast.walk(module.tree) if module.path.parts[0] in ("libs", "services") else ():
        if not isinstance(node, ast.Call):
            continue
        called = ast.unparse(node.func)
        if called in EVALUATES or any(f".{called}".endswith(f".{one}") for one in RUNS_A_SHELL):
            yield f"{node.lineno}: calls {called}"
        for keyword in node.keywords:
            harmless = isinstance(keyword.value, ast.Constant) and not keyword.value.value
            if keyword.arg in ("shell", "allow_pickle") and not harmless:
                yield f"{node.lineno}: calls {called} with {keyword.arg}"


RULES: tuple[Rule, ...] = (
    services_meet_only_on_the_log,
    kernel_names_no_service,
    floors_hold,
    pure_modules_are_pure,
    logs_come_from_one_place,
    client_needs_no_server,
    nothing_runs_code_of_others,
    yaml_makes_no_objects,
    nothing_is_evaluated,
)
