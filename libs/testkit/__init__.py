"""What only tests import: given/when/then, the memory log, real servers on free ports, fault tools."""
