"""`serving deploy`: manifests that run a root of models on the stock image."""

from __future__ import annotations

import pathlib
from collections.abc import Callable
from typing import Any

import click

from serving.cli.common import as_json_option, debug_option, print_json
from serving.deploy.options import PROXY_IMAGE

__all__ = ["deploy"]

_root = click.argument("root", type=click.Path(path_type=pathlib.Path))
_positive = click.IntRange(min=1)
_COMMON = (
    click.option("--out", type=click.Path(path_type=pathlib.Path), required=True, help="Directory to write into."),
    click.option("--name", default="model-server", help="Name of the deployment."),
    click.option("--image", help="The server's image; without, the tag of the exports' TensorFlow."),
    click.option("--allow-version-skew", is_flag=True, help="Take an image older than the exports' TensorFlow."),
    click.option("--cpus", type=_positive, default=2, help="Processors of one server."),
    click.option("--replicas", type=_positive, default=2, help="Servers, at the least."),
    click.option("--poll-seconds", type=_positive, default=5, help="Pause between looks at the model files."),
    click.option("--timeout", "timeout_s", type=_positive, default=30, help="Seconds for one request."),
    click.option("--max-body-mb", type=_positive, default=64, help="Largest request."),
    click.option("--concurrency", type=_positive, default=64, help="Most requests of a caller at a time."),
    click.option("--force", is_flag=True, help="Replace files that this command did not write."),
    as_json_option,
    debug_option,
)
_FRONT = (
    click.option("--batching", is_flag=True, help="Gather requests into batches."),
    click.option("--proxy-image", default=PROXY_IMAGE, help="The image of nginx."),
    click.option("--auth", type=click.Choice(["token", "mtls", "both"]), default="token", help="Who may ask."),
    click.option("--requests-per-second", "requests_per_s", type=_positive, default=1000, help="Most of a caller."),
)
_CLUSTER = (
    click.option("--namespace", default="models", help="Namespace to run in."),
    click.option("--max-replicas", type=_positive, help="Servers, at the most; without, three times --replicas."),
)


def _with(*options: Callable[..., Any]) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        for option in reversed(options):
            function = option(function)
        return function

    return add


@click.group()
def deploy() -> None:
    """Write manifests that run the models of a root on the stock image tensorflow/serving.

    Example: serving deploy compose models --out deployment
    """


@deploy.command()
@_root
@_with(*_COMMON, *_FRONT)
@click.option("--grpc-port", type=click.IntRange(1, 65535), default=8443, help="Published for gRPC, with TLS.")
@click.option("--rest-port", type=click.IntRange(1, 65535), default=8444, help="Published for REST, with TLS.")
def compose(root: pathlib.Path, **options: Any) -> None:
    """Docker Compose: servers without a way in or out, and nginx with TLS and tokens in front.

    Example: serving deploy compose models --out deployment --replicas 2
    """
    _write("compose", root, **options)


@deploy.command()
@_root
@_with(*_COMMON, *_FRONT, *_CLUSTER)
@click.option(
    "--models-from", type=click.Choice(["pvc", "init-image", "image-volume"]), default="pvc",
    help="A volume claim, or an image that is copied or mounted.",
)  # fmt: skip
@click.option("--models-image", help="For the last two: an image that holds ROOT in /models.")
@click.option("--clients-from", multiple=True, help="A further namespace whose pods may ask; repeat it.")
@click.option("--monitoring-namespace", default="monitoring", help="Namespace whose pods may read the metrics.")
def kubernetes(root: pathlib.Path, **options: Any) -> None:
    """Kubernetes: pods of a server and nginx, autoscaling, disruption budget, network policy, metrics.

    Example: serving deploy kubernetes models --out deployment --namespace models --cpus 4
    """
    _write("kubernetes", root, **options)


@deploy.command()
@_root
@_with(*_COMMON, *_CLUSTER)
def kserve(root: pathlib.Path, **options: Any) -> None:
    """KServe: a runtime with the pinned image and one InferenceService for each model.

    Example: serving deploy kserve models --out deployment --namespace models
    """
    _write("kserve", root, **options)


def _write(
    target: str, root: pathlib.Path, *, out: pathlib.Path, force: bool, as_json: bool, debug: bool, **options: Any
) -> None:
    from serving.deploy.deployment import write_deployment
    from serving.deploy.options import DeployOptions

    written = write_deployment(target, root, out, DeployOptions(**options), force=force)
    for warning in written.warnings:
        click.echo(f"serving: warning: {warning}", err=True)
    if as_json:
        print_json(
            {
                "target": target,
                "image": written.image,
                "files": [str(path) for path in written.files],
                "warnings": list(written.warnings),
            }
        )
        return
    for path in written.files:
        click.echo(path)
    click.echo(f"Runs {written.image}. What to do next stands in {out / 'README.md'}.")
