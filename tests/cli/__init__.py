"""Tests of the command line; a package, so that their suite ends with them and not with the whole run."""
