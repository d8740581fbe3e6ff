"""The command line `modelog`: nouns and verbs over the SDK, tables for people, `--json` for programs."""
