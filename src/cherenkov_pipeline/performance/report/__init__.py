"""Reports: tables and figures in, one self-contained HTML page or a Markdown summary out.

`content` says what a report consists of, `render` makes the page, `tables` writes numbers, `svg` puts figures into it.
`task` and `common` hold what every trained model's report shows; `energy`, `direction`, `type`, `regression`,
`reconstruction` and `comparison` are reports; `overlays` draws the curves of several models, `published` lists what
others have published.
"""
