"""A comparison as one HTML file to send to a colleague: self-contained, without scripts or outside requests."""

from app.domain.reconciliation.report.page import Report, ReportSide, report_page, report_policy

__all__ = ["Report", "ReportSide", "report_page", "report_policy"]
