"""The report of an evaluation: one self-contained HTML page."""

from ssdreg.drawing.report.page import Report, write_report
from ssdreg.drawing.report.pictures import WorstPicture, draw_worst

__all__ = ["Report", "WorstPicture", "draw_worst", "write_report"]
