"""TensorFlow Serving's REST API, probes, metrics and the web page, over `serving.api`.

| path | |
|---|---|
| `POST /v1/models/NAME[/versions/V or /labels/L]:predict`, `:classify`, `:regress` | as TensorFlow Serving |
| `GET /v1/models/NAME[/versions/V or /labels/L][/metadata]` | as TensorFlow Serving |
| `GET /v1/models` | the models that the caller may see, with their versions |
| `GET /v1/stats` | counts and latencies since the start, for the page |
| `GET /metrics`, `GET /monitoring/prometheus/metrics` | Prometheus's text format |
| `GET /livez`, `GET /readyz` | the process lives; it wants requests (503 when it drains) |
| `GET /` | the web page |

Where we differ from TensorFlow Serving: integers out of the range of their dtype, a key that stands twice and bodies
over a limit are refused; half, bfloat16 and uint16 are read and written; a string output that is no UTF-8 is written as
`{"b64": ...}`; requests of other sites' pages are refused; bodies may come in gzip.
"""
