"""What auditors ask of access."""

from modelog.cli.questions import review
from modelog.cli.state import Noun

access = Noun("access", help="Who may do what in a project, for whoever reviews it.", commands=[review])
