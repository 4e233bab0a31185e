"""Plumbline: Hydra + Lightning experiments for regression with small and tabular models."""

import os

# Read once, when torch is imported: threads that wait for each other sleep. Spinning gains nothing that could be
# measured, and where another process wants the core it costs ten times the training.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
