"""Writes huggingface.json: what huggingface_hub reads out of our card. Run it as `make oracle`.

The card is rendered in the environment of the tests and given as a file: `python tests/oracle/hub.py CARD.md`.
"""

import json
import sys
from pathlib import Path

import huggingface_hub
import yaml
from huggingface_hub import ModelCard

HERE = Path(__file__).resolve().parent


def main() -> None:
    text = Path(sys.argv[1]).read_text(encoding="utf-8")
    card = ModelCard(text)
    told = {
        "peer": f"huggingface_hub {huggingface_hub.__version__}",
        "front_matter": yaml.safe_load(text.split("---\n", 2)[1]),
        "results": [
            {
                "task_type": one.task_type,
                "dataset_name": one.dataset_name,
                "dataset_type": one.dataset_type,
                "metric_type": one.metric_type,
                "metric_value": one.metric_value,
            }
            for one in card.data.eval_results or []
        ],
        "license": card.data.license,
        "library_name": card.data.library_name,
    }
    (HERE / "huggingface.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
