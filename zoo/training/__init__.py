"""The only room that opens a strategy scope, compiles and fits."""
