"""One module a packaged data set, each with a `RECIPE`; the table is `zoo.data.packaged.RECIPES`."""
