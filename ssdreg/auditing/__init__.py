"""Audits of published detectors: do they tap the ends of their stages?

A module per source: a symbol with layer names, a configuration of MXNet's SSD example, and the
SSD presets of GluonCV. Each returns an `Audit`.
"""

from __future__ import annotations

from ssdreg.auditing.audited import ALTERED, RIGHT, UNKNOWN, VERDICTS, WRONG, Audit, Audited, Layer
from ssdreg.auditing.configurations import audit_configurations
from ssdreg.auditing.gluoncv_presets import audit_gluoncv
from ssdreg.auditing.symbols import audit_symbol

__all__ = ["ALTERED", "RIGHT", "UNKNOWN", "VERDICTS", "WRONG", "Audit", "Audited", "Layer",
           "audit_configurations", "audit_gluoncv", "audit_symbol"]
