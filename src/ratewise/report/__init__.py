"""Reports: tables, plots, picture strips, one self-contained HTML file, and generated documents.

:func:`ratewise.report.page.write_report` writes the HTML file, :mod:`ratewise.report.publish` the
tables of ``docs/results``; both draw on the same queries over result rows
(:mod:`ratewise.report.tables`).
"""
