"""Run `evalkit` with report.html as the only report, to measure the cost of that file.

It takes evalkit's own arguments.
"""

from evalkit.report import failure_analysis, junit, page, records


def nothing(*_: object) -> str:
    """Stand in for a report that is not written."""
    return ""


if __name__ == "__main__":
    junit.write_junit = nothing  # type: ignore[assignment]
    page.markdown = page.to_json = nothing  # type: ignore[assignment]
    records.release_decision_markdown = nothing  # type: ignore[assignment]
    failure_analysis.failure_analysis_markdown = nothing  # type: ignore[assignment]
    from evalkit.cli.app import app

    app()
