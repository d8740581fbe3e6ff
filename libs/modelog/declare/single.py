"""A file that holds one message and declares nothing: what options of a command would say, kept beside the code."""

from typing import Any

import yaml

from modelog.declare.problems import Problem, Problems
from modelog.declare.reading import Reader


def read_message(text: str, file: str, into: Any) -> None:
    """Fills a message from YAML, of which JSON is a part; Problems with all that is wrong."""
    reader = Reader(file)
    try:
        nodes = list(yaml.compose_all(text, Loader=yaml.SafeLoader))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise Problems([Problem(file, mark.line + 1 if mark else 0, f"no YAML: {error.problem}")]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise Problems([Problem(file, 0, "no YAML that can be read")]) from error
    if len(nodes) != 1:
        raise Problems([Problem(file, 0, "write one document")])
    reader.message(into, nodes[0], (), {})
    if reader.problems:
        raise Problems(reader.problems)
