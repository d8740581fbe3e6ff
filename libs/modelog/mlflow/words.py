"""Names and texts of elsewhere, brought into the forms that modelog takes. Pure."""

import hashlib
import re
import unicodedata
from collections.abc import Mapping
from fnmatch import fnmatchcase

_MOST_ID = 63
# What no request may hold: see the limits at the door (kernel.hygiene).
_DECEIVING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_HIGHER = frozenset(
    "accuracy acc auc auroc auprc precision recall sensitivity specificity f1 fbeta r2 mcc kappa jaccard iou dice map"
    " ndcg mrr bleu rouge rouge1 rouge2 rougel".split()
)
_LOWER = frozenset(
    "loss logloss error mse rmse mae mape smape rmsle msle perplexity brier wer cer ece fpr fnr crossentropy".split()
)


def clean(text: str, most: int) -> str:
    """The text as the door takes it: normal form C, signs that deceive replaced, at most so many characters."""
    return unicodedata.normalize("NFC", _DECEIVING.sub("\ufffd", text))[:most]


def id_of(name: str) -> str:
    """An id made from any name: what is no letter or digit of ASCII becomes a hyphen. `Fraud Model` is `fraud-model`.

    A name that leaves nothing gets an id from its digest, so that it has one at all.
    """
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:_MOST_ID].rstrip("-")
    return slug or f"model-{hashlib.sha256(name.encode(errors='replace')).hexdigest()[:8]}"


def principal_of(user: str, known: Mapping[str, str]) -> str:
    """Who a user of elsewhere is here: as the map says, else `users/<id of the name>`; empty for nobody."""
    if not user:
        return ""
    return known.get(user) or f"users/{id_of(user)}"


def direction_of(metric: str, higher: tuple[str, ...] = (), lower: tuple[str, ...] = ()) -> bool | None:
    """Whether higher is better; None when nobody said it and the name does not tell. higher, lower: patterns (`*`)."""
    told = [any(fnmatchcase(metric, one) for one in patterns) for patterns in (higher, lower)]
    if not any(told):
        words = set(re.split(r"[^a-z0-9]+", metric.lower()))
        told = [bool(words & _HIGHER), bool(words & _LOWER)]
    return None if told[0] == told[1] else told[0]


def request_id(server: str, *what: str) -> str:
    """The same for the same thing of the same server, whoever brings it and however often."""
    return f"mlflow-{hashlib.sha256(chr(0).join((server, *what)).encode(errors='replace')).hexdigest()[:40]}"
