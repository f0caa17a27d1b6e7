"""report.html: the results of a study or benchmark as one page that works offline.

libraries.py           Vega-Lite and DataTables from PyPI's packages; page.js and page.css
render.py, *.html.j2   rendering of templates to HTML
looks.py               colours and markers
table.py               rows of summary.csv as a table that can be sorted and filtered
vega.py                common parts of charts
charts.py, learning.py the charts, in Vega-Lite
cards.py               definition of each variant, with a picture of its pooling
study.py               the page of one study
"""

from experiments.report.page.study import page

__all__ = ["page"]
