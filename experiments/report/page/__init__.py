"""report.html: a study's or a benchmark's results as one page that needs no network.

libraries.py           Vega-Lite and DataTables from PyPI's packages; page.js and page.css
render.py, *.html.j2   templates to HTML
looks.py               colours and markers
table.py               rows of summary.csv as a table to sort and filter
vega.py                what a chart is
charts.py, learning.py the charts, in Vega-Lite
cards.py               what each variant is, with its pooling's picture
study.py               all of it for one study
"""

from experiments.report.page.study import page

__all__ = ["page"]
