"""Audits of published detectors: do they tap the ends of their stages?

A module per source: a symbol with layer names, a configuration of MXNet's SSD example, and the
SSD presets of GluonCV. Each returns an `Audit`.
"""

from __future__ import annotations

from ssdreg.audit.audited import ALTERED, RIGHT, UNKNOWN, VERDICTS, WRONG, Audit, Audited, Layer
from ssdreg.audit.configurations import audit_configurations
from ssdreg.audit.gluoncv_presets import audit_gluoncv
from ssdreg.audit.symbols import audit_symbol

__all__ = ["ALTERED", "RIGHT", "UNKNOWN", "VERDICTS", "WRONG", "Audit", "Audited", "Layer",
           "audit_configurations", "audit_gluoncv", "audit_symbol"]
