"""Brings what an MLflow tracking server holds into modelog: see docs/guides/import-from-mlflow.md. Needs no MLflow."""
