"""Judges a report of pip-audit: exit status 0 for none known, 1 for a vulnerability, 3 when nothing was looked up."""

import json
import sys
from pathlib import Path


def main() -> int:
    text = Path(sys.argv[1]).read_text()
    packages = json.loads(text)["dependencies"] if text else []
    audited = [one for one in packages if "skip_reason" not in one]
    unknown = sorted(one["name"] for one in packages if "skip_reason" in one)
    if not audited:
        return 3
    known = [(one, vulnerability) for one in audited for vulnerability in one.get("vulns", ())]
    for one, vulnerability in known:
        fixed = ", ".join(vulnerability["fix_versions"]) or "no version yet"
        print(f"audit: {one['name']} {one['version']}: {vulnerability['id']}, fixed in {fixed}")
    if unknown:
        print(f"audit: NOT AUDITED, unknown to the database: {', '.join(unknown)}", file=sys.stderr)
    print(f"audit: {len(known)} known vulnerabilities in {len(audited)} packages")
    return 1 if known else 0


if __name__ == "__main__":
    sys.exit(main())
